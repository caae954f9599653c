package pulse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	dialTime      = 10 * time.Second // to connect, and to agree on everything
	heartbeatTime = 10 * time.Second // a broker silent for three of them is away
	closeTime     = 2 * time.Second
)

// session is a connection to the broker on which all exchanges are there.
type session struct {
	p       *Publisher
	log     *slog.Logger
	broker  string // host and port
	conn    *amqp.Connection
	channel *amqp.Channel
	closed  chan *amqp.Error // of the connection
	failed  chan *amqp.Error // of the channel
}

// dial connects to the broker. Errors name it by host and port alone.
func (c Config) dial(ctx context.Context, name string) (*amqp.Connection, string, error) {
	uri, err := amqp.ParseURI(c.URL)
	if err != nil {
		return nil, "", c.Check()
	}
	broker := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	conn, err := amqp.DialConfig(c.URL, amqp.Config{
		Heartbeat:  heartbeatTime,
		Properties: amqp.Table{"product": "Treeline", "connection_name": name},
		Dial: func(network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTime)
			defer cancel()
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return conn, conn.SetDeadline(time.Now().Add(dialTime)) // lifted when all is agreed on
		},
	})
	if remedy := remedyOfTLS(uri, err); remedy != "" {
		return nil, "", fmt.Errorf("pulse: connect to the broker at %s: %w (%s)", broker, err, remedy)
	}
	if err != nil {
		return nil, "", fmt.Errorf("pulse: connect to the broker at %s: %w", broker, explained(err))
	}
	return conn, broker, nil
}

// connect opens a session.
func (p *Publisher) connect(ctx context.Context) (_ *session, err error) {
	s := &session{p: p}
	if s.conn, s.broker, err = p.config.dial(ctx, "treeline-"+p.config.Namespace); err != nil {
		return nil, err
	}
	s.log = p.config.Log.With("broker", s.broker)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.closed = s.conn.NotifyClose(make(chan *amqp.Error, 1))
	go s.tellBlocked(s.conn.NotifyBlocked(make(chan amqp.Blocking, 8)))
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("pulse: broker at %s: %w", s.broker, explained(err))
	}
	return s, nil
}

// open makes the channel and declares the exchanges.
func (s *session) open(ctx context.Context) (err error) {
	// The library waits for answers without a limit.
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	limit := time.AfterFunc(3*dialTime, s.close)
	defer limit.Stop()
	if s.channel, err = s.conn.Channel(); err != nil {
		return err
	}
	s.failed = s.channel.NotifyClose(make(chan *amqp.Error, 1))
	for _, kind := range slices.Sorted(maps.Keys(s.p.routes)) {
		name := s.p.routes[kind].exchange
		if err := s.channel.ExchangeDeclare(name, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
			return fmt.Errorf("declare the topic exchange %s: %w", name, err)
		}
	}
	return s.channel.Confirm(false)
}

// tellBlocked logs when the broker stops taking messages, as it does when short of memory or disk.
func (s *session) tellBlocked(changes <-chan amqp.Blocking) {
	for b := range changes {
		if b.Active {
			s.log.Warn("the broker takes no messages for now; they wait in the feed", "reason", b.Reason)
		} else {
			s.log.Info("the broker takes messages again")
		}
	}
}

// close ends the session; a broker that does not answer is not waited for.
func (s *session) close() {
	_ = s.conn.CloseDeadline(time.Now().Add(closeTime)) // what was not confirmed is published again
}

// explained adds what to do to the errors that an operator can remedy.
func explained(err error) error {
	refusal, ok := errors.AsType[*amqp.Error](err)
	switch {
	case !ok:
		return err
	case refusal.Code == amqp.AccessRefused && errors.Is(err, amqp.ErrCredentials):
		return fmt.Errorf("%w (check user and password in the URL of the broker)", err)
	case refusal.Code == amqp.AccessRefused:
		return fmt.Errorf("%w (the user needs the permissions to configure and write exchange/.*)", err)
	case refusal.Code == amqp.PreconditionFailed:
		return fmt.Errorf("%w (remove the exchange, or choose another namespace)", err)
	}
	return err
}

// remedyOfTLS says what to do when a connection could not be made because the two do not agree on TLS; "" when it is not
// that.
func remedyOfTLS(uri amqp.URI, err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "name a file with the broker's authority: ?cacertfile=PATH at the end of its URL"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "take the host of the certificate, or add server_name_indication=HOST to the query of its URL"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "that port speaks without TLS: take the other, usually 5671, or amqp://"
	}
	refusal, ok := errors.AsType[*amqp.Error](err)
	if uri.Scheme == "amqps" && uri.CertFile == "" && (cut(err) || ok && strings.Contains(refusal.Reason, "tls: certificate required")) {
		return "if the broker asks for certificates: certfile=PATH&keyfile=PATH in the query of its URL"
	}
	if ok && refusal.Code == amqp.FrameError {
		return "what answers there is no AMQP: if it is the port of TLS, write amqps:// in the URL"
	}
	return ""
}

// cut reports whether the other side ended the connection. The alert that says why may be lost behind that.
func cut(err error) bool {
	return errors.Is(err, amqp.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}
