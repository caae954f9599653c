// Package doctor looks whether a deployment is as it has to be, and says of what it finds what is wrong, which promise
// that breaks, and what to do (docs/operations/doctor.md).
//
// A Check looks at one thing, by itself and for a limited time: one that hangs or fails holds up no other. What can be
// found, with its reasons and remedies, stands in one table (catalogue.go). The checks of this package need a database,
// a root URL or the machine; those that need the rooms of the server are made by the command.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Severity says how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Error   Severity = "error"   // a promise is broken, or something does not work
	Warning Severity = "warning" // it will be, or it may be under load or after a crash
	Hint    Severity = "hint"    // it could be better; not counted by the exit code
)

var order = []Severity{Error, Warning, Hint}

// Finding is something that is wrong.
type Finding struct {
	Code     string   `json:"code"` // the key of Catalogue
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why"` // which promise it breaks
	Do       string   `json:"do"`
}

// Found makes a finding of the catalogue; format says what was seen.
func Found(code, format string, args ...any) Finding {
	k, ok := Catalogue[code]
	if !ok {
		k = Kind{Severity: Error, Why: "The doctor does not know this finding.", Do: "Report this."}
	}
	return Finding{Code: code, Severity: k.Severity, What: fmt.Sprintf(format, args...), Why: k.Why, Do: k.Do}
}

// Check looks at one thing.
type Check struct {
	Name string
	// Skip says why it cannot look, such as that there is no GitHub App; "" when it can.
	Skip string
	// Look returns what is wrong. An error says that it could not look.
	Look func(ctx context.Context) ([]Finding, error)
}

// Result is what became of a check.
type Result struct {
	Check    string        `json:"check"`
	Findings []Finding     `json:"findings"`
	Skipped  string        `json:"skipped,omitempty"`
	Error    string        `json:"error,omitempty"` // why it could not look
	Took     time.Duration `json:"tookNanoseconds"`
}

// Report is what became of all.
type Report struct {
	Results []Result `json:"results"` // in the order of the checks
}

// Limit is how long a check may take when Options do not say.
const Limit = 15 * time.Second

// Options change how checks are run.
type Options struct {
	Limit  time.Duration // of each check
	AtOnce int           // checks; 6 when zero
	Done   func(Result)  // told of each, one at a time
}

// Run runs the checks.
func Run(ctx context.Context, checks []Check, o Options) Report {
	o.Limit, o.AtOnce = cmp.Or(o.Limit, Limit), cmp.Or(o.AtOnce, 6)
	report := Report{Results: make([]Result, len(checks))}
	var all sync.WaitGroup
	var telling sync.Mutex
	free := make(chan struct{}, o.AtOnce)
	for i, c := range checks {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			r := c.run(ctx, o.Limit)
			telling.Lock()
			defer telling.Unlock()
			report.Results[i] = r
			if o.Done != nil {
				o.Done(r)
			}
		})
	}
	all.Wait()
	return report
}

// run runs one check; one that does not heed the end of its time is left behind.
func (c Check) run(ctx context.Context, limit time.Duration) Result {
	r := Result{Check: c.Name, Skipped: c.Skip, Findings: []Finding{}}
	if c.Skip != "" {
		return r
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type outcome struct {
		findings []Finding
		err      error
	}
	ended := make(chan outcome, 1)
	go func() {
		found, err := c.Look(ctx)
		ended <- outcome{found, err}
	}()
	select {
	case o := <-ended:
		r.Findings = append(r.Findings, o.findings...)
		if o.err != nil {
			r.Error = o.err.Error()
		}
		if errors.Is(o.err, context.DeadlineExceeded) {
			r.Error = fmt.Sprintf("no answer within %v", limit)
		}
	case <-ctx.Done():
		r.Error = fmt.Sprintf("no answer within %v", limit)
	}
	r.Took = time.Since(began)
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Severity), slices.Index(order, b.Severity)), cmp.Compare(a.Code, b.Code))
	})
	return r
}

// Codes of the program's end.
const (
	Fine    = 0
	Sick    = 1 // there are errors or warnings
	Blinded = 2 // something could not be looked at, and nothing is wrong with the rest
)

// Exit is the program's exit code.
func (r Report) Exit() int {
	code := Fine
	for _, one := range r.Results {
		if one.Error != "" {
			code = Blinded
		}
	}
	if r.Count(Error)+r.Count(Warning) > 0 {
		return Sick
	}
	return code
}

// Count counts findings of a severity.
func (r Report) Count(s Severity) int {
	n := 0
	for _, one := range r.Results {
		for _, f := range one.Findings {
			if f.Severity == s {
				n++
			}
		}
	}
	return n
}

// Codes are the codes of all findings but hints, sorted, each once.
func (r Report) Codes() []string {
	codes := []string{}
	for _, one := range r.Results {
		for _, f := range one.Findings {
			if f.Severity != Hint {
				codes = append(codes, f.Code)
			}
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
