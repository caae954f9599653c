package pulse_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/rabbittest"
)

// testTLS publishes over TLS to a broker that asks for certificates, and wants to be told what to do where it cannot.
func testTLS(t *testing.T, node *rabbittest.Node) {
	authority, certificate, key := node.Files()
	asked := func(names ...string) string {
		v := url.Values{}
		for i := 0; i < len(names); i += 2 {
			v.Set(names[i], names[i+1])
		}
		return "?" + v.Encode()
	}
	whole := asked("cacertfile", authority, "certfile", certificate, "keyfile", key)

	fx := newFixture(t, node, "secure")
	fx.queue("secure-all", "#", "task-pending")
	fx.publish(node.Secure() + whole)
	fx.story(1, 1)
	fx.drain("secure-all", tasks)

	for _, tt := range []struct{ name, url, want string }{
		{"an authority that nobody knows", node.Secure(), "?cacertfile=PATH"},
		{"no certificate of the client's", node.Secure() + asked("cacertfile", authority), "certfile=PATH&keyfile=PATH"},
		{"another name", strings.Replace(node.Secure(), "127.0.0.1", "localhost", 1) + whole, "server_name_indication="},
		{"TLS where there is none", strings.Replace(node.URL(), "amqp:", "amqps:", 1) + whole, "usually 5671"},
		{"no TLS where there is", strings.Replace(node.Secure(), "amqps:", "amqp:", 1), "amqps:// "},
		{"no file with the authority", node.Secure() + asked("cacertfile", authority+"x"), "ca.pemx: no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := pulse.Config{URL: tt.url, Namespace: "secure"}.Probe(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "pulse: connect to the broker at ") {
				t.Errorf("%v does not say %q", err, tt.want)
			}
			if strings.Contains(fmt.Sprint(err), "a%2B") || strings.Contains(fmt.Sprint(err), rabbittest.Password) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}
