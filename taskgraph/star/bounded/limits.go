package bounded

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"

	"go.starlark.net/starlark"
)

// ErrLimit is in the chain of every error that says a limit was met.
var ErrLimit = errors.New("limit")

// Limits bound one call (a load counts as one call, with all files it loads).
type Limits struct {
	Steps     uint64 // Starlark instructions
	ItemSteps uint64 // further instructions for each item handed in
	Bytes     int64  // bytes of texts and lists made in all, also those dropped again
	ItemBytes int64  // further bytes for each item handed in
	Text      int    // bytes of one string
	Values    int    // Elements of one list, and values handed back per call
	Depth     int    // nesting of values
	Printed   int    // bytes of print output
	Heap      uint64 // growth of the whole process's heap that ends the call
	Files     int    // files one load may reach
	Source    int    // bytes of one file
}

// DefaultLimits are generous for real trees and end a hostile file within seconds.
func DefaultLimits() Limits {
	return Limits{
		Steps: 10_000_000, ItemSteps: 20_000,
		Bytes: 256 << 20, ItemBytes: 64 << 10,
		Text: 4 << 20, Values: 2_000_000, Depth: 100, Printed: 64 << 10,
		Heap: 1 << 30, Files: 100, Source: 256 << 10,
	}
}

// limitError is a limit that was met.
type limitError string

func (e limitError) Error() string        { return string(e) }
func (e limitError) Is(target error) bool { return target == ErrLimit }

// Limitf makes an error that says a limit was met.
func Limitf(format string, args ...any) error { return limitError(fmt.Sprintf(format, args...)) }

// Steps between two looks at the heap.
const pulse = 100_000

// ElementBytes is what a list or dict element costs at least.
const ElementBytes = 16

// Cause is the limit that ended the thread; nil when none did.
func (b *Budget) Cause() error { return b.cause }

// Budget is what is left to one call. It belongs to one goroutine.
type Budget struct {
	Limits   Limits
	maxSteps uint64
	bytes    int64
	printed  int
	heapBase uint64
	cause    error             // the limit that cancelled the thread
	Say      func(line string) // nil drops what is printed
	Local    any               // what the caller keeps beside it
}

// NewBudget makes the budget of a call that is handed items; say gets what it prints.
func NewBudget(l Limits, items int, say func(line string)) *Budget {
	return &Budget{
		Limits: l, maxSteps: l.Steps + uint64(items)*l.ItemSteps, bytes: l.Bytes + int64(items)*l.ItemBytes,
		heapBase: heapBytes(), Say: say,
	}
}

// Thread makes a thread that lives within the budget.
func (b *Budget) Thread(name string) *starlark.Thread {
	t := &starlark.Thread{Name: name, Print: func(_ *starlark.Thread, msg string) { b.Print(msg) }, OnMaxSteps: b.check}
	t.SetLocal(budgetKey, b)
	t.SetMaxExecutionSteps(min(pulse, b.maxSteps))
	return t
}

const budgetKey = "budget"

// BudgetOf is the budget that the thread lives in.
func BudgetOf(t *starlark.Thread) *Budget {
	b, _ := t.Local(budgetKey).(*Budget)
	return b
}

// check runs each pulse: it ends the thread or gives it the next pulse.
func (b *Budget) check(t *starlark.Thread) {
	switch grown := b.heapGrowth(); {
	case t.Steps >= b.maxSteps:
		b.cause = Limitf("takes more than %d steps: is there a loop that does not end soon?", b.maxSteps)
	case grown > b.Limits.Heap:
		b.cause = Limitf("uses more than %d MB of memory", b.Limits.Heap>>20)
	default:
		t.SetMaxExecutionSteps(min(t.Steps+pulse, b.maxSteps))
		return
	}
	t.Cancel(b.cause.Error())
}

// heapGrowth is how much the heap grew since the call began. Garbage is collected before
// a verdict is based on it.
func (b *Budget) heapGrowth() uint64 {
	now := heapBytes()
	if now > b.heapBase+b.Limits.Heap {
		runtime.GC()
		now = heapBytes()
	}
	return now - min(now, b.heapBase)
}

func heapBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}

// Charge takes n bytes from the budget.
func (b *Budget) Charge(n int) error {
	if b.bytes -= int64(n); b.bytes < 0 {
		return Limitf("makes more than %d MB of texts and lists", b.Limits.Bytes>>20)
	}
	return nil
}

// Work takes n steps from the budget before they are done.
func (b *Budget) Work(t *starlark.Thread, n int) error {
	if t.Steps += uint64(n); t.Steps >= b.maxSteps {
		b.cause = Limitf("takes more than %d steps: is there a loop that does not end soon?", b.maxSteps)
		return b.cause
	}
	return nil
}

// Text takes a string of n bytes from the budget.
func (b *Budget) Text(n int) error {
	if n > b.Limits.Text {
		return Limitf("makes a text of %d bytes, the limit is %d", n, b.Limits.Text)
	}
	return b.Charge(n)
}

// Elements takes a list of n elements from the budget; making it counts as steps too.
func (b *Budget) Elements(t *starlark.Thread, n int) error {
	if n > b.Limits.Values {
		return Limitf("makes or walks a list of %d elements, the limit is %d", n, b.Limits.Values)
	}
	t.Steps += uint64(n)
	return b.Charge(n * ElementBytes)
}

// Print hands on a line within the limit of what may be printed.
func (b *Budget) Print(msg string) {
	if b.printed > b.Limits.Printed || b.Say == nil {
		return
	}
	if b.printed += len(msg) + 1; b.printed > b.Limits.Printed {
		msg = fmt.Sprintf("(print: more than %d bytes; the rest is dropped)", b.Limits.Printed)
	}
	b.Say(msg)
}
