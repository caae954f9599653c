package soaktest_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/queue/soaktest"
)

var (
	seedFlag       = flag.Uint64("seed", 0, "seed of the first round; the next has the next number; 0 draws one")
	minutesFlag    = flag.Float64("minutes", 0, "for how long to play rounds; 0: two rounds, as ordinary tests do")
	operationsFlag = flag.Int("operations", 12000, "operations of a round of a soak")
	clientsFlag    = flag.Int("clients", 12, "clients of a round")
	lockstepFlag   = flag.Bool("lockstep", false, "one client acts at a time: a seed gives the same history each time")
	reportFlag     = flag.String("report", "", "file for the report as JSON, and the directory for the histories that violate something")
)

// TestSoak plays rounds: one with a fixed seed and one with a new one among ordinary tests, as many as
// the time allows with -minutes, and exactly one with -seed alone.
func TestSoak(t *testing.T) {
	tally := soaktest.NewTally()
	if *minutesFlag > 0 {
		stop := progress(t, tally)
		defer stop()
	}
	for i, seed := range seeds() {
		if i > 0 && *minutesFlag > 0 && tally.Totals().Seconds > *minutesFlag*60 {
			break
		}
		operations := *operationsFlag
		if *minutesFlag == 0 && *seedFlag == 0 {
			operations = 3000
		}
		play(t, tally, soaktest.Options{Seed: seed, Operations: operations, Clients: *clientsFlag, Lockstep: *lockstepFlag})
	}
	report(t, tally.Totals())
}

// seeds yields the seeds of the rounds.
func seeds() func(yield func(int, uint64) bool) {
	first := *seedFlag
	if first == 0 {
		first = rand.Uint64() >> 20
	}
	switch {
	case *minutesFlag > 0:
		return func(yield func(int, uint64) bool) {
			for i := 0; yield(i, first+uint64(i)); i++ {
			}
		}
	case *seedFlag != 0:
		return slices.All([]uint64{first})
	}
	return slices.All([]uint64{20486, first})
}

// play plays a round, and keeps the history of one that violates something.
func play(t *testing.T, tally *soaktest.Tally, o soaktest.Options) {
	t.Helper()
	o.Progress = tally
	t.Run(fmt.Sprint("seed ", o.Seed), func(t *testing.T) {
		e := soaktest.Run(t, o)
		if len(e.Violations) == 0 {
			return
		}
		for _, v := range e.Violations[:min(len(e.Violations), 30)] {
			t.Error(v)
		}
		keep(t, e)
		t.Logf("replay: make soak SEED=%d MINUTES=0 OPERATIONS=%d, with LOCKSTEP=1 if it was in lockstep", o.Seed, o.Operations)
	})
}

// keep writes down what happened to the tasks that are violated.
func keep(t *testing.T, e *soaktest.Evidence) {
	t.Helper()
	dir := os.TempDir()
	if *reportFlag != "" {
		dir = filepath.Dir(*reportFlag)
	}
	name := filepath.Join(dir, fmt.Sprintf("soak-seed-%d.json", e.Seed))
	data, err := json.MarshalIndent(e.Trial(), "", "  ")
	if err == nil {
		err = os.WriteFile(name, data, 0o600)
	}
	if err != nil {
		t.Error(err)
		return
	}
	t.Logf("the calls and events of these tasks are in %s", name)
}

// progress prints a line each ten seconds.
func progress(t *testing.T, tally *soaktest.Tally) (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Println(tally.Totals().Line())
			}
		}
	}()
	return func() { close(done) }
}

func report(t *testing.T, totals soaktest.Totals) {
	t.Helper()
	if err := totals.Print(t.Output()); err != nil {
		t.Error(err)
	}
	if *reportFlag == "" {
		return
	}
	f, err := os.Create(*reportFlag)
	if err != nil {
		t.Fatal(err)
	}
	if err := totals.JSON(f); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
