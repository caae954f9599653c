//go:build uilong

package secretpages_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestAValueLeavesThePageAfterAMinute waits for it.
func TestAValueLeavesThePageAfterAMinute(t *testing.T) {
	site := uitest.New(t)
	if err := site.Secrets.Set(t.Context(), uitest.Admin, "deploy", secrets.Secret{Value: json.RawMessage(`{"token": "` + hush + `"}`), Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	tab := site.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/secrets/deploy")
	tab.Click(t, "#show")
	tab.Wait(t, `document.querySelector("#value") !== null`)
	began := time.Now()
	for uitest.Eval[bool](t, tab, `document.documentElement.outerHTML.includes("`+hush+`")`) {
		if time.Since(began) > 70*time.Second {
			t.Fatal("the value is still there")
		}
		<-time.After(time.Second)
	}
	if took := time.Since(began); took < 55*time.Second {
		t.Errorf("it left after %v", took)
	}
}
