package eventapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

func TestListConsumers(t *testing.T) {
	fx := newFixture(t, webtest.As("someone", "events:list-consumers", "events:read"))
	next, _ := fx.open("", "")
	next()
	fx.append(event.Event{Kind: "a"}, event.Event{Kind: "b"})
	next()
	next()
	if _, err := fx.pool.Exec(t.Context(), "INSERT INTO event_consumers (name, position) VALUES ('done', 2), ('behind', 0)"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(fx.url + "/api/events/v1/consumers")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Head      int
		Consumers []struct {
			Name          string
			Lag           int
			BehindSeconds float64
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	if len(got.Consumers) != 2 || got.Consumers[0].BehindSeconds <= 0 || got.Consumers[1].BehindSeconds != 0 {
		t.Fatalf("%+v", got)
	}
	lags := map[string]int{got.Consumers[0].Name: got.Consumers[0].Lag, got.Consumers[1].Name: got.Consumers[1].Lag}
	if diff := cmp.Diff(map[string]int{"behind": 2, "done": 0}, lags); diff != "" || got.Head != 2 {
		t.Errorf("%s, head %d", diff, got.Head)
	}
}
