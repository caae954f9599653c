package s3test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Fault is what a Proxy does to one request.
type Fault struct {
	Status int    // not 0: the request is not passed on and answered so
	Body   string // the body of that answer
	CutAt  int    // not 0: the answer's body breaks off after so many bytes
	Mute   bool   // no answer comes
	Stall  bool   // the answer's body stands still after its first bytes
	Flip   bool   // the first byte of the answer's body is another one
}

// Proxy stands before a Server and spoils what it is told to.
type Proxy struct {
	Endpoint string
	mu       sync.Mutex
	choose   func(*http.Request) Fault
	requests []string
	release  chan struct{}
}

// NewProxy starts a proxy that passes everything on.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{release: make(chan struct{})}
	server := httptest.NewServer(&httputil.ReverseProxy{
		// The host stays as it was: it is part of what is signed.
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		Transport: p, FlushInterval: -1,
		ErrorLog:     log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	p.Endpoint = server.URL
	t.Cleanup(func() {
		close(p.release)
		server.CloseClientConnections()
		server.Close()
	})
	return p
}

// Spoil sets what happens to each request from now on; nil: nothing.
func (p *Proxy) Spoil(choose func(*http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.choose, p.requests = choose, nil
}

// Requests are those since Spoil, as "METHOD /path".
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// RoundTrip implements http.RoundTripper.
func (p *Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	var f Fault
	p.requests = append(p.requests, r.Method+" "+r.URL.Path)
	if p.choose != nil {
		f = p.choose(r)
	}
	p.mu.Unlock()
	if f.Mute {
		select {
		case <-p.release:
		case <-r.Context().Done():
		}
		return nil, errors.New("mute")
	}
	if f.Status != 0 {
		if r.Body != nil {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
		}
		return &http.Response{StatusCode: f.Status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(f.Body)), Request: r}, nil
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		resp.Body = &spoiled{resp.Body, f, 0, p.release}
	}
	return resp, err
}

// spoiled is a body that does not go well.
type spoiled struct {
	io.ReadCloser
	fault   Fault
	at      int
	release chan struct{}
}

// Read implements io.Reader.
func (s *spoiled) Read(b []byte) (int, error) {
	if s.fault.CutAt > 0 {
		if s.at >= s.fault.CutAt {
			return 0, errors.New("cut")
		}
		b = b[:min(len(b), s.fault.CutAt-s.at)]
	}
	if s.fault.Stall && s.at > 0 {
		<-s.release
		return 0, errors.New("stalled")
	}
	n, err := s.ReadCloser.Read(b)
	if s.fault.Flip && s.at == 0 && n > 0 {
		b[0] ^= 1
	}
	s.at += n
	return n, err
}
