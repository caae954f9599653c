package sys

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Began is when a process began, in the system's count: with the number it names a process for good. One
// that has ended and was not waited for counts as gone.
func Began(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the program's name in parentheses, which may hold anything.
	var fields []string
	if i := bytes.LastIndex(text, []byte(") ")); i >= 0 {
		fields = strings.Fields(string(text[i+2:]))
	}
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is not of the known form", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}
