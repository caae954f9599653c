// Package paging cuts the queue's listings into pages by the columns that sort them, so that a page
// stays right while rows come and go (taskcluster-map 3.6).
package paging

import (
	"encoding/base64"
	"encoding/json"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/draft"
)

// Max is how many items a page has at most.
const Max = 1000

// maxToken bounds what Read decodes, in bytes.
const maxToken = 2048

// Size makes a page's size of a caller's limit; 0 and what is out of range mean Max.
func Size(limit int) int {
	if limit < 1 || limit > Max {
		return Max
	}
	return limit
}

// Cut takes a page of limit items from a list that was read one longer, and makes the token for the
// next page from the columns that sort the last item. next is "" on the last page.
func Cut[T any](list []T, limit int, key func(T) []any) (page []T, next string, err error) {
	if list == nil {
		list = []T{}
	}
	if len(list) <= limit {
		return list, "", nil
	}
	list = list[:limit]
	data, err := json.Marshal(key(list[limit-1]))
	if err != nil {
		return nil, "", fault.Wrap(fault.Internal, err, "queue: token of a page")
	}
	return list, base64.RawURLEncoding.EncodeToString(data), nil
}

// Read reads a token that Cut made into the columns; an empty one leaves them as they are. Any other
// text is fault.Invalid.
func Read(token string, columns ...any) error {
	if token == "" {
		return nil
	}
	bad := fault.New(fault.Invalid, "The continuationToken is not one of this listing. Start without one.")
	if len(token) > maxToken {
		return bad
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return bad
	}
	var raw []json.RawMessage
	if json.Unmarshal(data, &raw) != nil || len(raw) != len(columns) {
		return bad
	}
	for i, column := range columns {
		if json.Unmarshal(raw[i], column) != nil {
			return bad
		}
		if s, ok := column.(*string); ok && !draft.Storable(*s) {
			return bad
		}
	}
	return nil
}
