package web

import (
	"io"
	"net/http"
	"time"
)

// defaultPatience is Options.Patience where nothing is said.
const defaultPatience = 2 * time.Minute

// patient bounds how long a client can hold a request without taking part: its body must have come in
// that time, and it must take each piece of the answer in that time. A handler may wait as long as it
// likes, and may set deadlines of its own.
//
// The request it returns is a copy: by the body of its own one, the server knows how much is left unread
// when the handler is done, and so whether to answer at once and close.
func patient(w http.ResponseWriter, r *http.Request, patience time.Duration) (*patientWriter, *http.Request) {
	// Connections that know no deadlines exist in tests only; there they are not needed.
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{}) // that of the request before on this connection
	var body *patientBody
	if r.ContentLength != 0 {
		_ = control.SetReadDeadline(time.Now().Add(patience))
		own := r.Body
		r = r.WithContext(r.Context())
		body = &patientBody{ReadCloser: own, control: control}
		r.Body = body
	}
	return &patientWriter{w, control, patience, body}, r
}

// patientBody takes the limit off when the body is there: from then on the server watches the
// connection, to learn that the client left. It knows how much of the body was read.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
	read    int64
	ended   bool
}

func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	b.ended = b.ended || err != nil
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// piece is how many bytes a client must take at a time.
const piece = 64 << 10

// patientWriter writes as long as the client takes something now and then. The limit of the last write
// stays for what the server has yet to send after the handler.
type patientWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	body     *patientBody // of the request; nil: it has none
}

// Write implements http.ResponseWriter.
func (w *patientWriter) Write(b []byte) (written int, err error) {
	for {
		part := b[written:min(len(b), written+piece)]
		w.extend()
		n, err := w.ResponseWriter.Write(part)
		if written += n; err != nil || written == len(b) {
			return written, err
		}
	}
}

// FlushError sends what is written so far.
func (w *patientWriter) FlushError() error {
	w.extend()
	return w.control.Flush()
}

// Flush implements http.Flusher; a client that is gone shows at the next write.
func (w *patientWriter) Flush() { _ = w.FlushError() }

// Unwrap lets http.ResponseController reach the connection.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *patientWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.patience)) }
