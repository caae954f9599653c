package doctorcmd

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/internal/web/throttle"
)

// The bounds beyond which a setting is taken for a mistake.
const (
	leastBurst   = 50               // requests at once: a page with what it loads and follows
	leastClient  = 10.0             // requests a second of a client, whom all workers of a queue may share
	leastClaim   = 2 * time.Minute  // that a worker may be silent
	stopWithin   = 60 * time.Second // what the units, the compose file and the chart give a server
	widestV4     = 8                // bits of a network that may still be somebody's own
	widestV6     = 16
	dialReceiver = 5 * time.Second
)

// nonsense are settings that a server takes, and that do not do what they are for.
func (d *deployment) nonsense() doctor.Check {
	found := append(d.badLimits(), d.badProxies()...)
	if t := d.config.ClaimTimeout; t != 0 && t < leastClaim {
		found = append(found, doctor.Found("claim-timeout-short", "--claim-timeout is %v", t))
	}
	if t := d.config.DrainNotice + d.config.Drain; t >= stopWithin {
		found = append(found, doctor.Found("drain-long", "--drain-notice and --drain are %v together", t))
	}
	return fixed("settings of the server", found...)
}

func (d *deployment) badLimits() (found []doctor.Finding) {
	for _, kind := range throttle.Kinds() {
		r, known := d.config.Limits[kind]
		guessing, off := kind == throttle.Failures || kind == throttle.SignIn, r == throttle.Rate{}
		switch {
		case !known || off && !guessing:
		case off:
			found = append(found, doctor.Found("limits-off", "the limit %s is off", kind))
		case kind == throttle.Anonymous && r.Burst < leastBurst || kind == throttle.Client && (r.Burst < leastBurst || r.PerSecond < leastClient):
			found = append(found, doctor.Found("limits-tight", "the limit %s is %g a second, and %d at once", kind, r.PerSecond, r.Burst))
		}
	}
	return found
}

func (d *deployment) badProxies() (found []doctor.Finding) {
	for _, n := range d.config.Proxies {
		if wide(n) {
			found = append(found, doctor.Found("proxies-everybody", "the trusted proxies are the whole network %v", n))
		}
	}
	if len(d.config.Proxies) == 0 && strings.HasPrefix(d.config.RootURL, "https://") {
		found = append(found, doctor.Found("proxies-none", "the root URL is %s, a server speaks HTTP alone, and no proxy is trusted", d.config.RootURL))
	}
	return found
}

func wide(n netip.Prefix) bool {
	if n.Addr().Is4() {
		return n.Bits() < widestV4
	}
	return n.Bits() < widestV6
}

// traces connects to the receiver of traces, and sends nothing.
func (d *deployment) traces(ctx context.Context) ([]doctor.Finding, error) {
	u, err := url.Parse(d.config.Traces.Endpoint)
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	dialer := net.Dialer{Timeout: dialReceiver}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return []doctor.Finding{doctor.Found("traces-unreachable", "the receiver of traces: %v", err)}, nil
	}
	return nil, conn.Close()
}
