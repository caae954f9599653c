package simulate

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/treeline-ci/treeline/pools/estimate"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// OfficeHours is the load of people at work: much by day, with a peak in the afternoon, little by night and
// at the weekend, and a nightly build at two. peak is tasks an hour at the busiest.
func OfficeHours(peak float64) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		of, hour := at/day, (at % day).Hours()
		rate := 0.03 * peak
		if of < 5 && hour > 7 && hour < 20 {
			rate += 0.97 * peak * math.Sin(math.Pi*(hour-7)/13)
		}
		if hour >= 2 && hour < 2.25 {
			rate += peak
		}
		return rate
	}
}

// Week is a week of the same load for pools with different settings, and with different luck.
func Week() []Scenario {
	base := Scenario{
		Limits: estimate.Limits{Max: 200, Ratio: 1}, Rate: OfficeHours(600), Work: 8 * time.Minute, Boot: 2 * time.Minute,
		Idle: 2 * time.Minute, PerInstance: 1, Length: week, Seed: 1,
	}
	with := func(name string, change func(*Scenario)) Scenario {
		s := base
		s.Name = name
		change(&s)
		return s
	}
	return []Scenario{
		with("as it comes", func(*Scenario) {}),
		with("10 always there", func(s *Scenario) { s.Limits.Min = 10 }),
		with("idle for 15 min", func(s *Scenario) { s.Idle = 15 * time.Minute }),
		with("ratio 0.5", func(s *Scenario) { s.Limits.Ratio = 0.5 }),
		with("60 at most", func(s *Scenario) { s.Limits.Max = 60 }),
		with("4 tasks a worker", func(s *Scenario) { s.PerInstance = 4 }),
		with("slow boot, 10 min", func(s *Scenario) { s.Boot = 10 * time.Minute }),
		with("1 launch of 3 fails", func(s *Scenario) { s.Failing = 1.0 / 3 }),
		with("spot, 10 % lost an hour", func(s *Scenario) { s.Lost = 0.1 }),
		with("no launch Tue 8-10 h", func(s *Scenario) { s.OutageFrom, s.OutageUntil = day+8*time.Hour, day+10*time.Hour }),
	}
}

// Print prints a table of scenarios and what came of them.
func Print(out io.Writer, list []Scenario, results []Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "pool\ttasks\twait p50\tp95\tmax\tmachine h\tin use\tpeak\tabove limit\tretried\tlaunches\tfailed\t")
	for i, s := range list {
		r := results[i]
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%.0f\t%.0f %%\t%d\t%s\t%d\t%d\t%d\t\n", s.Name, r.Tasks, minutes(r.P50), minutes(r.P95), minutes(r.Max),
			r.MachineHours, 100*r.Use(s.PerInstance), r.Peak, minutes(r.Above), r.Retried, r.Launches, r.Failures)
	}
	return w.Flush()
}

func minutes(d time.Duration) string { return fmt.Sprintf("%.1f min", d.Minutes()) }
