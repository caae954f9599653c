// Package smtptest runs a mail server on this machine for tests, with STARTTLS, TLS, authentication, and
// answers to order. It keeps what it took, as it came and taken apart.
package smtptest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/treeline-ci/treeline/internal/certtest"
)

// Mail is a message that the server took.
type Mail struct {
	From, To string // of the envelope
	User     string // who had authenticated; "" for nobody
	TLS      bool
	Raw      []byte
	Header   netmail.Header
	Text     string // the part for programs that show text
	HTML     string // the part for the others
}

// Options say how the server is.
type Options struct {
	TLS            bool   // from the first byte
	NoSTARTTLS     bool   // it cannot encrypt
	User, Password string // who may send; everybody when empty
}

// Server is a mail server that runs until the end of the test.
type Server struct {
	Host string
	Port int
	CA   string // file with the authority of its certificate

	options Options
	mu      sync.Mutex
	mails   []Mail
	rcpt    func(address string) error
	data    func(m Mail) error
	arrived chan struct{}
}

// Start starts a server.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{options: o, arrived: make(chan struct{}, 1000)}
	certificate := s.certificate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Host, s.Port = "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8 = "localhost", true, true
	server.ErrorLog = log.New(io.Discard, "", 0) // connections may outlive the test
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if o.TLS {
		listener = tls.NewListener(listener, config)
	} else if !o.NoSTARTTLS {
		server.TLSConfig = config
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(listener) }()          // ends with Close
	t.Cleanup(func() { _ = server.Close(); _ = listener.Close(); <-ended }) // a server that has not begun to serve does not know its listener
	return s
}

// certificate makes one for 127.0.0.1 and leaves its authority in a file to be trusted.
func (s *Server) certificate(t testing.TB) tls.Certificate {
	t.Helper()
	set := certtest.New(t)
	s.CA = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.CA, set.Authority, 0o600); err != nil {
		t.Fatal(err)
	}
	return set.TLS(t)
}

// OnRecipient has the server ask f about each recipient; its error is the answer.
func (s *Server) OnRecipient(f func(address string) error) { s.mu.Lock(); s.rcpt = f; s.mu.Unlock() }

// OnMail has the server ask f about each whole mail before it takes it; f may take its time.
func (s *Server) OnMail(f func(m Mail) error) { s.mu.Lock(); s.data = f; s.mu.Unlock() }

// Answer is an error with a code of SMTP, for OnRecipient and OnMail.
func Answer(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

// Mails returns what the server took so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Wait waits until the server has n mails, and returns all.
func (s *Server) Wait(t testing.TB, n int) []Mail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if list := s.Mails(); len(list) >= n {
			return list
		}
		select {
		case <-s.arrived:
		case <-ctx.Done():
			t.Fatalf("%d mails, want %d", len(s.Mails()), n)
		}
	}
}

type session struct {
	server         *Server
	conn           *smtp.Conn
	user, from, to string
}

func (s *session) AuthMechanisms() []string {
	if s.server.options.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.options.User || password != s.server.options.Password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "user or password is wrong"}
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.options.User != "" && s.user == "" {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	s.server.mu.Lock()
	ask := s.server.rcpt
	s.server.mu.Unlock()
	if ask != nil {
		return ask(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, encrypted := s.conn.TLSConnectionState()
	m := Mail{From: s.from, To: s.to, User: s.user, TLS: encrypted, Raw: raw}
	if err := m.parse(); err != nil {
		return Answer(554, "no mail: "+err.Error())
	}
	s.server.mu.Lock()
	ask := s.server.data
	s.server.mu.Unlock()
	if ask != nil {
		if err := ask(m); err != nil {
			return err
		}
	}
	s.server.mu.Lock()
	s.server.mails = append(s.server.mails, m)
	s.server.mu.Unlock()
	s.server.arrived <- struct{}{}
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// parse takes the mail apart; it must have one part of text and one of HTML.
func (m *Mail) parse() error {
	message, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		return err
	}
	m.Header = message.Header
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return fmt.Errorf("its type is %s (%w)", kind, err)
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || params["charset"] != "UTF-8" || part.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			return fmt.Errorf("a part is %v (%w)", part.Header, err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		switch kind {
		case "text/plain":
			m.Text = string(text)
		case "text/html":
			m.HTML = string(text)
		default:
			return fmt.Errorf("a part is %s", kind)
		}
	}
	if m.Text == "" || m.HTML == "" {
		return errors.New("it lacks text or HTML")
	}
	return nil
}

// Subject is the subject, decoded.
func (m Mail) Subject() string {
	text, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return m.Header.Get("Subject")
	}
	return text
}
