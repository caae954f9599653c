package export

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config says where traces are sent. The zero value sends none. The variables of the environment are those of
// OpenTelemetry's exporters; timeouts, compression and certificates are read from there by its library.
type Config struct {
	Endpoint string // to which spans are posted, such as http://localhost:4318/v1/traces; "" for none
	GRPC     bool
	Service  string            // service.name
	Resource map[string]string // more to say of this server
	Secrets  []string          // values of headers, which are not logged
	Delay    time.Duration     // how long what ends is gathered before it is sent
	Batch    int               // spans in a message
}

// On reports whether traces are sent.
func (c Config) On() bool { return c.Endpoint != "" }

// FromEnv reads the environment; endpoint goes before what that says, as a command line does.
func FromEnv(endpoint string, getenv func(string) string) (Config, error) {
	c := Config{Service: "treeline", Delay: 10 * time.Second, Batch: 512}
	whole := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	base := cmp.Or(endpoint, getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if endpoint != "" {
		whole = ""
	}
	if whole == "" && base == "" || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") && endpoint == "" || getenv("OTEL_TRACES_EXPORTER") == "none" && endpoint == "" {
		return Config{}, nil
	}
	var problems []error
	switch protocol := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); protocol {
	case "grpc":
		c.GRPC = true
	case "http/protobuf", "http/json":
	default:
		problems = append(problems, fmt.Errorf("the protocol %q is none: grpc, http/protobuf and http/json are (OTEL_EXPORTER_OTLP_PROTOCOL)", protocol))
	}
	c.Endpoint = whole
	if whole == "" {
		c.Endpoint = base
		if !c.GRPC {
			c.Endpoint = strings.TrimSuffix(base, "/") + "/v1/traces"
		}
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		problems = append(problems, errors.New("the address of the receiver is none: give a scheme and a host without a password, such as http://localhost:4318 (--otlp-endpoint or OTEL_EXPORTER_OTLP_ENDPOINT)"))
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		values, err := pairs(getenv(name))
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
		for _, v := range values {
			c.Secrets = append(c.Secrets, v)
		}
	}
	var err error
	if c.Resource, err = pairs(getenv("OTEL_RESOURCE_ATTRIBUTES")); err != nil {
		problems = append(problems, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err))
	}
	c.Service = cmp.Or(getenv("OTEL_SERVICE_NAME"), c.Resource["service.name"], c.Service)
	if err := number(getenv("OTEL_BSP_SCHEDULE_DELAY"), func(n int) { c.Delay = time.Duration(n) * time.Millisecond }); err != nil {
		problems = append(problems, fmt.Errorf("OTEL_BSP_SCHEDULE_DELAY: %w", err))
	}
	if err := number(getenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), func(n int) { c.Batch = max(1, n) }); err != nil {
		problems = append(problems, fmt.Errorf("OTEL_BSP_MAX_EXPORT_BATCH_SIZE: %w", err))
	}
	if len(problems) > 0 {
		return Config{}, fmt.Errorf("traces: %w", errors.Join(problems...))
	}
	return c, nil
}

func number(text string, set func(int)) error {
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return errors.New("it is not a number")
	}
	set(n)
	return nil
}

// pairs reads name=value,name=value, with escapes as in URLs. Its errors do not show values, which may be secret.
func pairs(text string) (map[string]string, error) {
	out := map[string]string{}
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || name == "" || err != nil {
			return nil, fmt.Errorf("entry %d is not as name=value, with %%XX for what is special in URLs", i+1)
		}
		out[name] = decoded
	}
	return out, nil
}

// hide takes the values of headers out of a text, which a receiver may have repeated.
func (c Config) hide(text string) string {
	for _, s := range c.Secrets {
		if s == "" {
			continue
		}
		text = strings.ReplaceAll(text, s, "…")
		if _, token, found := strings.Cut(s, " "); found && token != "" { // as in "Bearer TOKEN"
			text = strings.ReplaceAll(text, token, "…")
		}
	}
	return text
}
