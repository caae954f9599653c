package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/treeline-ci/treeline/internal/fault"
)

func TestFault(t *testing.T) {
	inner := fault.Wrap(fault.NotFound, io.EOF, "task %s is not known", "abc")
	err := fmt.Errorf("queue: status: %w", inner)

	if !errors.Is(err, fault.NotFound) || errors.Is(err, fault.Conflict) {
		t.Errorf("errors.Is does not follow the kind of %v", err)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
	if got := fault.KindOf(err); got != fault.NotFound {
		t.Errorf("KindOf = %v", got)
	}
	if got := fault.Message(err); got != "task abc is not known" {
		t.Errorf("Message = %q", got)
	}
	if fault.KindOf(io.EOF) != fault.Internal || fault.Message(io.EOF) == io.EOF.Error() {
		t.Error("a plain error must be internal and keep its text to itself")
	}
	if fault.Wrap(fault.NotFound, nil, "x") != nil {
		t.Error("Wrap of nil must be nil")
	}
}
