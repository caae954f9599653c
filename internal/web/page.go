package web

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
)

// MaxPage is the most, and where a caller says nothing the usual, number of entries of a page
// (taskcluster-map 3.6).
const MaxPage = 1000

// Page returns the query parameters limit, between 1 and MaxPage, and continuationToken.
func (r *Request) Page() (limit int, token string, err error) {
	limit = MaxPage
	if text := r.Query("limit"); text != "" {
		n, err := strconv.Atoi(text)
		// The pattern lets digits through only; too many of them mean as many as there are.
		if err == nil {
			limit = min(max(n, 1), MaxPage)
		}
	}
	return limit, r.Query("continuationToken"), nil
}

// Token makes an opaque continuation token of the last row's sort columns.
func Token(columns ...any) (string, error) {
	text, err := json.Marshal(columns)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

// ReadToken fills the sort columns from a token. It reports false for "" and for a token that is not
// one: the listing then begins with the first page (taskcluster-map 3.6).
func ReadToken(token string, columns ...any) bool {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || token == "" {
		return false
	}
	var values []json.RawMessage
	if json.Unmarshal(text, &values) != nil || len(values) != len(columns) {
		return false
	}
	for i, v := range values {
		if json.Unmarshal(v, columns[i]) != nil {
			return false
		}
	}
	return true
}
