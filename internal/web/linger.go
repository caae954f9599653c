package web

import (
	"io"
	"net/http"
	"time"
)

// How much of a refused body is thrown away, and for how long.
const (
	LingerBytes = 64 << 20
	LingerTime  = 5 * time.Second
)

// Linger has clients that write their whole body before they read, as many do, get the answer to a request that
// was answered unread: the server would close the connection under their hands. So the answer goes out, and then
// what still comes is thrown away, up to so many bytes and for so long; after that the connection is closed.
// Little that is left unread, 256 KiB, net/http takes care of.
func Linger(next http.Handler, most int64, within time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 || r.ProtoMajor != 1 || r.Header.Get("Expect") != "" { // who expects leave to go on has sent nothing
			next.ServeHTTP(w, r)
			return
		}
		// A copy, as for patient.
		body, copied := &watchedBody{ReadCloser: r.Body}, r.WithContext(r.Context())
		copied.Body = body
		next.ServeHTTP(w, copied)
		if body.ended || r.ContentLength > 0 && r.ContentLength-body.read <= 256<<10 {
			return
		}
		control := http.NewResponseController(w)
		if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(within)) != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r.Body, most) // it is closed all the same
	})
}

// watchedBody knows how much of it was read. Only the handler uses it.
type watchedBody struct {
	io.ReadCloser
	read  int64
	ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	b.ended = b.ended || err != nil
	return n, err
}
