// Package sys holds what operating systems do differently: locks of files, signals to processes and
// groups of them, owners of files, free room of disks. Everything compiles on Linux, macOS and Windows;
// what a system does not have says so with an error that names it.
package sys

import "errors"

// ErrLocked says that somebody else holds a lock that was to be had at once.
var ErrLocked = errors.New("the file is locked by another process")

// How says which lock of a file is wanted.
type How int

// The locks.
const (
	Exclusive How = iota // alone
	Shared               // with others that share it
	Now                  // Exclusive, without waiting: ErrLocked
)
