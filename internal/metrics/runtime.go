package metrics

import (
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

var descName = regexp.MustCompile(`fqName: "([^"]+)"`)

// runtimeNames calls see with the name of each metric of the Go runtime and the process.
func runtimeNames(see func(string)) {
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		out := make(chan *prometheus.Desc)
		go func() { c.Describe(out); close(out) }()
		for d := range out {
			if m := descName.FindStringSubmatch(d.String()); m != nil {
				see(m[1])
			}
		}
	}
}
