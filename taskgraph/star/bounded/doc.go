// Package bounded runs Starlark within limits. The interpreter counts steps, but one step can make
// a value of a gigabyte or run for minutes; so each file is rewritten between parsing and compiling
// (Parse): every operator, method and form that can do much work in one step becomes a call of a
// guard, which looks at the sizes first and takes them from the Budget of the call.
//
// It also has the values that stand between Go and Starlark: Dict, which converts a Go mapping
// where a program looks at it; FromStarlark, which gives back the Go values that nobody changed;
// and Record, a read-only value with attributes.
//
// A Budget and what is made with it belong to one goroutine.
package bounded
