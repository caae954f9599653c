package dbcmd

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/pg"
)

func TestProgressIsToldOnceASecondAndAtTheEnd(t *testing.T) {
	var out strings.Builder
	clock := time.Unix(1000, 0)
	tell := tellProgress(&out, func() time.Time { return clock })
	at := func(rows int64, seconds float64) {
		tell(pg.Version{Number: 41, Name: "room_what", Online: &pg.Online{Direction: "up", Rows: rows, Total: 10_000, Seconds: seconds}})
	}
	at(0, 0)
	at(500, 0.5) // within the second
	clock = clock.Add(2 * time.Second)
	at(2500, 2.5)
	finished := clock
	tell(pg.Version{Number: 41, Name: "room_what", Online: &pg.Online{Direction: "up", Rows: 10_100, Total: 10_000, Finished: &finished}})
	want := `0041 room_what: online part under way (up): 0 of about 10000 rows, 0 %
0041 room_what: online part under way (up): 2500 of about 10000 rows, 25 %, about 8s left
0041 room_what: online part done: 10100 rows
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
