package web

import (
	"net/http"
	"strings"
)

// hsts is how long browsers come by https only, once they have: a year.
const hsts = "max-age=31536000"

// secure sets what every answer carries, whoever writes it: nothing is loaded or run by it, nobody frames it, its type
// is not guessed, and other sites neither embed it nor learn where somebody came from. Pages widen the policy to what
// they are made of.
func (s *site) secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if strings.HasPrefix(s.RootURL, "https:") {
		h.Set("Strict-Transport-Security", hsts)
	}
}
