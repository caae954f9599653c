package web

import (
	"io"
	"net/http"
	"time"
)

// How much of a refused body is thrown away, and for how long where Options.Linger says nothing.
const (
	lingerBytes   = 64 << 20
	defaultLinger = 5 * time.Second
)

// leftUnread is how much of a body net/http reads by itself when the handler did not.
const leftUnread = 256 << 10

// linger has a client that writes its whole body before it reads, as many do, get the answer to a request that was
// answered unread: the server would close the connection under its hands. So the answer goes out, and then what
// still comes is thrown away, for so long; after that the connection is closed.
func linger(w *patientWriter, r *http.Request, within time.Duration) {
	body := w.body // handlers put readers of their own around that of the request
	if body == nil || body.ended || r.ContentLength > 0 && r.ContentLength-body.read <= leftUnread {
		return
	}
	if r.ProtoMajor != 1 || r.Header.Get("Expect") != "" { // who expects leave to go on has sent nothing
		return
	}
	if w.FlushError() != nil || w.control.SetReadDeadline(time.Now().Add(within)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, body.ReadCloser, lingerBytes) // it is closed all the same
}
