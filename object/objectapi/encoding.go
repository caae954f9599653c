package objectapi

import (
	"compress/gzip"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/object"
)

// takesGzip reports whether a request names gzip as an encoding it takes. One that says nothing gets
// the content as it was before it was compressed, as programs that know nothing of encodings expect.
func takesGzip(h http.Header) bool {
	other := false
	for _, item := range strings.Split(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, parameters, _ := strings.Cut(item, ";")
		quality := 1.0
		if text, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q="); ok {
			quality, _ = strconv.ParseFloat(text, 64) // what cannot be read is 0
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return quality > 0
		case "*":
			other = quality > 0
		}
	}
	return other
}

// sendStored answers with a content in the encoding the reader takes. Each representation has its own
// ETag, and its own ranges: the bytes stored, with Content-Encoding when they are compressed; those in
// compressed ones, for who does not take gzip; and what is compressed for this answer only, which
// knows no ranges, so that who asks for one gets it from the bytes stored.
func sendStored(r *web.Request, o object.Object, stored io.ReadSeekCloser) error {
	h := r.Writer.Header()
	guard(h, o.Name, o.ContentType)
	// The URL ends, the content behind it does not change; but it is not for everybody's cache.
	h.Set("Cache-Control", "private, max-age=1800, immutable")
	h.Add("Vary", "Accept-Encoding")
	gzipWanted := takesGzip(r.HTTP.Header)
	switch {
	case o.Encoding != "" && gzipWanted:
		h.Set("Content-Encoding", o.Encoding)
		sendAs(r, "sha256-"+o.StoredSHA256, o.Finished, stored)
	case o.Encoding == "" && gzipWanted && r.HTTP.Header.Get("Range") == "" && worthCompressing(o):
		return sendCompressed(r, o, stored)
	default:
		sendAs(r, "sha256-"+o.SHA256, o.Finished, o.Plain(stored))
	}
	return nil
}

// sendAs answers with bytes that cannot change, or the ranges of them that are asked for.
func sendAs(r *web.Request, tag string, modified time.Time, body io.ReadSeeker) {
	h := r.Writer.Header()
	h.Set("ETag", `"`+tag+`"`)
	if h.Get("Content-Encoding") != "" && r.HTTP.Header.Get("Range") == "" {
		// ServeContent leaves the length of encoded contents to its caller.
		if size, err := body.Seek(0, io.SeekEnd); err == nil {
			h.Set("Content-Length", strconv.FormatInt(size, 10))
		}
	}
	http.ServeContent(r.Writer, r.HTTP, "", modified, body)
}

const (
	compressedFrom = 1 << 10  // smaller contents are not worth it
	compressedTo   = 64 << 20 // larger ones cost too much: who uploads them should compress
)

func worthCompressing(o object.Object) bool {
	if o.Size < compressedFrom || o.Size > compressedTo {
		return false
	}
	kind, _, err := mime.ParseMediaType(o.ContentType)
	return err == nil && (strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml") ||
		slices.Contains([]string{"application/json", "application/x-ndjson", "application/javascript", "application/xml", "application/wasm"}, kind))
}

// sendCompressed compresses as it sends. The ETag is a weak one, for another version of this program
// may compress otherwise.
func sendCompressed(r *web.Request, o object.Object, body io.Reader) error {
	h := r.Writer.Header()
	tag := `W/"sha256-` + o.SHA256 + `-gzip"`
	h.Set("ETag", tag)
	h.Set("Accept-Ranges", "none")
	h.Set("Last-Modified", o.Finished.UTC().Format(http.TimeFormat))
	if match := r.HTTP.Header.Get("If-None-Match"); match != "" && matches(match, tag) {
		for _, name := range []string{"Content-Type", "Content-Disposition"} {
			h.Del(name)
		}
		r.Writer.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Encoding", "gzip")
	if r.HTTP.Method == http.MethodHead {
		r.Writer.WriteHeader(http.StatusOK)
		return nil
	}
	z, err := gzip.NewWriterLevel(r.Writer, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("compress %s: %w", o.Name, err)
	}
	if _, err := io.Copy(z, body); err != nil {
		h.Del("Content-Encoding")                         // should nothing have been sent yet
		return fmt.Errorf("compress %s: %w", o.Name, err) // without its end the answer is seen to be broken
	}
	return z.Close()
}

// matches reports whether a list of ETags has one, compared weakly as If-None-Match asks.
func matches(list, tag string) bool {
	for _, item := range strings.Split(list, ",") {
		item = strings.TrimSpace(item)
		if item == "*" || strings.TrimPrefix(item, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
