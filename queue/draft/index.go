package draft

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/task"
)

// indexRoute is how routes begin that enter a completed task in the index.
const indexRoute = "index."

// namespace is the index's grammar (taskcluster-map 6). A route is too short to break its limit of
// 255 characters.
var namespace = regexp.MustCompile(`^[a-zA-Z0-9_!~*'()%-]+(\.[a-zA-Z0-9_!~*'()%-]+)*$`)

const (
	maxIndexData = 32 << 10 // bytes; the index takes no more
	maxIndexYear = 9998     // of an expiry; the index takes no later one
)

// IndexPath returns the index path that a route asks for, and false when it asks for none.
func IndexPath(route string) (path string, ok bool) { return strings.CutPrefix(route, indexRoute) }

// IsIndexPath reports whether the index can hold a path.
func IsIndexPath(path string) bool { return namespace.MatchString(path) }

// checkIndex refuses a task that would complete and then not be found where its routes say. The peer
// takes such a task and drops the entry without a word to its owner (taskcluster#6266).
func checkIndex(d *task.Definition) error {
	indexed := false
	for i, r := range d.Routes {
		path, ok := IndexPath(r)
		if !ok {
			continue
		}
		indexed = true
		if !IsIndexPath(path) {
			return fmt.Errorf("routes[%d], %q, can never be indexed: after %q there must be words of letters, digits and _!~*'()%%- with dots between", i, r, indexRoute)
		}
	}
	if !indexed {
		return nil
	}
	var extra struct {
		Index struct {
			Data    json.RawMessage `json:"data"`
			Expires task.Time       `json:"expires"`
		} `json:"index"`
	}
	if json.Unmarshal(d.Extra, &extra) != nil {
		return nil // of another type: the index takes its defaults
	}
	switch x := extra.Index; {
	case len(x.Data) > maxIndexData:
		return fmt.Errorf("extra.index.data has %d bytes, more than the %d that the index takes: keep it in an artifact", len(x.Data), maxIndexData)
	case x.Expires.Year() > maxIndexYear:
		return fmt.Errorf("extra.index.expires lies after the year %d, the last that the index takes", maxIndexYear)
	}
	return nil
}

// Indexed is what a task wants to be kept with its entries in the index.
type Indexed struct {
	Rank    float64
	Data    json.RawMessage // an object
	Expires time.Time
}

// ReadIndexed reads extra.index = {rank, expires, data}; what is missing or of the wrong type has its
// default: 0, the task's expiry, {}.
func ReadIndexed(extra json.RawMessage, taskExpires time.Time) Indexed {
	var x struct{ Index map[string]json.RawMessage }
	e := Indexed{Data: json.RawMessage("{}"), Expires: taskExpires}
	if json.Unmarshal(extra, &x) != nil {
		return e
	}
	var (
		rank    float64
		data    map[string]json.RawMessage
		expires task.Time
	)
	if json.Unmarshal(x.Index["rank"], &rank) == nil {
		e.Rank = rank
	}
	if json.Unmarshal(x.Index["data"], &data) == nil && data != nil {
		e.Data = x.Index["data"]
	}
	if json.Unmarshal(x.Index["expires"], &expires) == nil && expires.Year() > 1 && expires.Year() < 10000 {
		e.Expires = expires.Time
	}
	return e
}
