package export_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/trace/export"
)

func TestConfigOfTheEnvironment(t *testing.T) {
	base := export.Config{Service: "treeline", Resource: map[string]string{}, Delay: 10 * time.Second, Batch: 512}
	with := func(change func(*export.Config)) export.Config {
		c := base
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		flag string
		env  map[string]string
		want export.Config
	}{
		"nothing":                          {},
		"an address":                       {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318/"}, want: with(func(c *export.Config) { c.Endpoint = "http://a:4318/v1/traces" })},
		"that of traces is taken as it is": {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://b/x"}, want: with(func(c *export.Config) { c.Endpoint = "https://b/x" })},
		"the command line wins":            {flag: "http://c", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://b/x"}, want: with(func(c *export.Config) { c.Endpoint = "http://c/v1/traces" })},
		"switched off":                     {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "true"}},
		"another exporter":                 {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"}},
		"all": {env: map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_HEADERS": "k=v%20w", "OTEL_SERVICE_NAME": "ci", "OTEL_RESOURCE_ATTRIBUTES": "a=b,c=d%2Ce",
			"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "7",
		}, want: export.Config{Endpoint: "http://a:4317", GRPC: true, Service: "ci", Resource: map[string]string{"a": "b", "c": "d,e"}, Secrets: []string{"v w"}, Delay: 200 * time.Millisecond, Batch: 7}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := export.FromEnv(c.flag, func(name string) string { return c.env[name] })
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
	const hush = "hush"
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://u:" + hush + "@a", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke", "OTEL_EXPORTER_OTLP_HEADERS": hush,
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "key=" + hush + "%2", "OTEL_BSP_SCHEDULE_DELAY": "soon", "OTEL_RESOURCE_ATTRIBUTES": hush,
	} {
		env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", variable: value}
		if _, err := export.FromEnv("", func(name string) string { return env[name] }); err == nil || strings.Contains(err.Error(), hush) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}
