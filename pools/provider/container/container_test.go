package container_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/container"
	"github.com/treeline-ci/treeline/pools/provider/providertest"
)

func TestProviderWithPodman(t *testing.T) {
	secret := []byte("k")
	p, err := container.New(container.Config{Host: podmantest.Start(t), Secret: secret, Server: "https://tc.example.com", AllowBinds: []string{"/srv/cache"}})
	if err != nil {
		t.Fatal(err)
	}
	// The worker stays only if it finds its registration, and ends when it is asked to.
	work := `["sh", "-c", "grep -q proj/work $TREELINE_REGISTER || exit 1; trap 'exit 0' TERM; while true; do sleep 0.05; done"]`
	providertest.Run(t, providertest.Case{
		Scaler: p, Bad: json.RawMessage(`{"image": "` + podmantest.Image + `", "binds": ["/etc:/etc2"]}`),
		Config: json.RawMessage(`{"image": "` + podmantest.Image + `", "command": ` + work + `, "memory": 67108864, "pids": 100}`),
		Proof:  func(_ *testing.T, i provider.Instance) json.RawMessage { return provider.TokenProof(secret, i.Key) },
	})
	for binds, ok := range map[string]bool{"/srv/cache/go:/cache": true, "/srv/cache:/c:ro": true, "/srv/cache/../../etc:/c": false, "/etc:/c": false, "/srv/cachex:/c": false} {
		err := p.Check(json.RawMessage(`{"launchConfigs": [{"image": "i", "binds": ["` + binds + `"]}]}`))
		if ok != (err == nil) || err != nil && !errors.Is(err, fault.BadInput) {
			t.Errorf("%s: %v", binds, err)
		}
	}
}
