package web

import (
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// reply answers with what a handler returned (taskcluster-map 3.5). An error means that nothing was
// written yet.
func (s *site) reply(w http.ResponseWriter, r *Request, result any) error {
	switch v := result.(type) {
	case nil:
		if s.CheckOutput && r.endpoint.output != nil {
			return fmt.Errorf("%s answered without a body, but has an output schema", r.endpoint.Name)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case Streamed:
		return nil
	case Redirect:
		return s.redirect(w, r, v)
	case Status:
		merge(w.Header(), v.Header)
		if v.Body == nil {
			w.WriteHeader(v.Code)
			return nil
		}
		return s.encode(w, r, v.Code, v.Body, false)
	default:
		return s.encode(w, r, http.StatusOK, result, s.CheckOutput)
	}
}

func (s *site) redirect(w http.ResponseWriter, r *Request, v Redirect) error {
	merge(w.Header(), v.Header)
	w.Header().Set("Location", ascii(v.Location))
	if v.Body == nil {
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	return s.encode(w, r, http.StatusSeeOther, v.Body, s.CheckOutput)
}

// ascii is an address as a header can carry it: what else there is in it, escaped. An address that somebody referred to
// may have any characters, and clients would take the bytes of a header for another alphabet.
func ascii(address string) string {
	var b strings.Builder
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c > '~' || c == '"' || c == '<' || c == '>' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func merge(into, from http.Header) {
	for name, values := range from {
		into[http.CanonicalHeaderKey(name)] = values
	}
}

// encode answers with a value as JSON, checked against the output schema when asked to.
func (s *site) encode(w http.ResponseWriter, r *Request, status int, v any, check bool) error {
	body, err := pretty(v)
	if err != nil {
		return err
	}
	if check && r.endpoint.output != nil {
		value, err := decoded(body)
		if err != nil {
			return err
		}
		if err := r.endpoint.output.Validate(value); err != nil {
			return fmt.Errorf("the answer of %s does not fit %s:\n%s", r.endpoint.Name, r.endpoint.Output, strings.Join(violations(err, len(r.endpoint.Secret) > 0), "\n"))
		}
	}
	s.send(w, r.HTTP, status, body)
	return nil
}

// compressFrom is the size in bytes from which an answer is worth compressing.
const compressFrom = 8 << 10

// send writes a JSON body.
func (s *site) send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Add("Vary", "Accept-Encoding")
	var err error
	if len(body) < compressFrom || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, err = w.Write(body)
	} else {
		h.Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		zip, zerr := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if zerr == nil {
			_, zerr = zip.Write(body)
			zerr = errors.Join(zerr, zip.Close())
		}
		err = zerr
	}
	if err != nil {
		s.Log.DebugContext(r.Context(), "the caller went away", "path", r.URL.EscapedPath(), "err", err)
	}
}

func (s *site) plain(w http.ResponseWriter, r *http.Request, v any) {
	headers(w.Header())
	s.plainStatus(w, r, http.StatusOK, v)
}

func (s *site) plainStatus(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := pretty(v)
	if err != nil {
		s.Log.ErrorContext(r.Context(), "an answer cannot be encoded", "err", err)
		status, body = http.StatusInternalServerError, []byte(`{"error": "Internal error"}`)
	}
	s.send(w, r, status, body)
}
