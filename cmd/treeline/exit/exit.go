// Package exit is how commands say which status the program ends with when they have told the rest themselves.
package exit

import "fmt"

// Code is an error with the status of the program; its command has told the reason already.
type Code int

// Told ends a command that has said what is wrong.
const Told = Code(1)

// Error names the status.
func (c Code) Error() string { return fmt.Sprintf("exit status %d", int(c)) }
