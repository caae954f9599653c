package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html/template"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/treeline-ci/treeline/notify/message"
)

// Sender sends mail by one server. It is safe for concurrent use; each message has a connection of its own.
type Sender struct {
	config   Config
	from     *netmail.Address
	host     string // of Message-IDs
	root     string
	tls      *tls.Config
	markdown markdown
	letter   *template.Template
}

// New makes a sender; nil when there is nothing to send with. root is the server's address, for the last line.
func New(c Config, root string) (*Sender, error) {
	if !c.On() {
		return nil, nil
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	s := &Sender{config: c, root: root, markdown: newMarkdown()}
	var err error
	if s.from, err = netmail.ParseAddress(c.From); err != nil {
		return nil, fmt.Errorf("mail: from: %w", err)
	}
	s.host = s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:]
	if s.tls, err = c.tls(); err != nil {
		return nil, err
	}
	if s.letter, err = template.New("letter").Parse(letterHTML); err != nil {
		return nil, fmt.Errorf("mail: template: %w", err)
	}
	return s, nil
}

// Send hands the message to the server. Errors are *message.Failure: permanent when the server refused this message or
// its reader, temporary for everything that an operator or time can change. A message is known by its id.
func (s *Sender) Send(ctx context.Context, m message.Email, id string) error {
	msg, err := s.compose(m, id)
	if err != nil {
		return &message.Failure{Message: "The mail cannot be made", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	var conn net.Conn
	client, err := gomail.NewClient(s.config.Host, s.options(&conn)...)
	if err != nil {
		return &message.Failure{Message: "The settings of mail cannot be used", Temporary: true, Err: err}
	}
	err = client.DialWithContext(ctx)
	if conn != nil {
		defer conn.Close()
		// A server that stalls is left when the time is over.
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
	}
	if err != nil {
		return s.unreached(ctx, err)
	}
	if err := client.Send(msg); err != nil && !msg.IsDelivered() {
		return s.refused(ctx, err)
	}
	_ = client.Close() // says goodbye; the server has the mail
	return nil
}

// options are those of a client. The dialer leaves the connection in conn, to be closed in any case.
func (s *Sender) options(conn *net.Conn) []gomail.Option {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		*conn = c
		if s.config.TLS != TLS {
			return c, nil
		}
		secure := tls.Client(c, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return secure, nil
	}
	options := []gomail.Option{
		gomail.WithPort(s.config.Port), gomail.WithTimeout(s.config.Timeout), gomail.WithTLSConfig(s.tls),
		gomail.WithDialContextFunc(dial), gomail.WithoutNoop(),
	}
	switch s.config.TLS {
	case TLS:
		options = append(options, gomail.WithSSL())
	case STARTTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.config.User != "" {
		options = append(options, gomail.WithUsername(s.config.User), gomail.WithPassword(s.config.Password),
			gomail.WithOpportunisticSMTPAuth(s.mechanisms()...))
	}
	return options
}

// mechanisms are the ways to authenticate, the best first.
func (s *Sender) mechanisms() []gomail.SMTPAuthType {
	if s.config.TLS == Plain { // on this machine, says Check
		return []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc}
	}
	return []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin}
}

// unreached says why there is no session with the server. None of that is the message's fault.
func (s *Sender) unreached(ctx context.Context, err error) error {
	f := &message.Failure{Temporary: true, Err: err}
	where := s.config.String()
	var answer *textproto.Error
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		f.Message = fmt.Sprintf("The mail server %s did not answer in time", where)
	case errors.As(err, &dns):
		f.Message = fmt.Sprintf("The name of the mail server %s is not known", where)
	case errors.As(err, &authority), errors.As(err, &name):
		f.Message = fmt.Sprintf("The certificate of the mail server %s is not trusted (ca names a file of certificates to trust)", where)
	case errors.As(err, &answer) && answer.Code/10 == 53:
		f.Message = fmt.Sprintf("The mail server %s does not let user %q in", where, s.config.User)
	case strings.Contains(err.Error(), "STARTTLS"):
		f.Message = fmt.Sprintf("The mail server %s cannot encrypt; tls: none sends without", where)
	default:
		f.Message = fmt.Sprintf("The mail server %s cannot be used", where)
	}
	return f
}

// refused says why the server did not take the message.
func (s *Sender) refused(ctx context.Context, err error) error {
	f := &message.Failure{Message: "The mail server " + s.config.String() + " did not take the mail", Temporary: true, Err: err}
	if ctx.Err() != nil || strings.Contains(err.Error(), os.ErrDeadlineExceeded.Error()) { // the library hides what it is of
		f.Message = fmt.Sprintf("The mail server %s did not answer in time", s.config.String())
		return f
	}
	var sent *gomail.SendError
	if !errors.As(err, &sent) {
		return f
	}
	text, _, _ := strings.Cut(sent.Error(), ", affected ")
	f.Err = errors.New(text)
	// What the server has against us as sender is no fault of the message.
	f.Temporary = sent.ErrorCode()/100 != 5 || sent.Reason == gomail.ErrSMTPMailFrom
	return f
}
