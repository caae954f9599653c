package traceid_test

import (
	"regexp"
	"testing"

	"github.com/treeline-ci/treeline/internal/traceid"
)

func TestIDs(t *testing.T) {
	t.Run("are the same whenever they are made: what was sent with another version is not sent as something else", func(t *testing.T) {
		got := traceid.Parent("fN1SbArXTPSVFNUvaOlinQ", "Ck6H5RzFTomOeX9C8lZOHA", 0)
		if got != "00-39b0f30fb10c39dde6871434192f2ed2-bd1f7d0cf071a3d9-01" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("are a valid traceparent", func(t *testing.T) {
		if got := traceid.Parent("g", "t", 1); !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`).MatchString(got) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("differ with everything that they stand for", func(t *testing.T) {
		g := traceid.OfGroup("g")
		seen := map[string]bool{}
		for _, id := range []string{
			g.String(), traceid.OfGroup("h").String(), traceid.OfPush("g", 1).String(), traceid.OfPush("g", 11).String(), traceid.OfPush("g1", 1).String(),
			g.Run("t", 0).String(), g.Run("t", 1).String(), g.Run("u", 0).String(), g.Of("wait", "t", "0").String(), traceid.OfGroup("h").Run("t", 0).String(),
		} {
			if seen[id] {
				t.Errorf("%s is there twice", id)
			}
			seen[id] = true
		}
	})
}
