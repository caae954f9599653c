package mail

import (
	"context"
	"fmt"
	"net"

	gomail "github.com/wneessen/go-mail"
)

// Probe signs in to the server as Send does, and leaves without sending.
func (s *Sender) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	var conn net.Conn
	client, err := gomail.NewClient(s.config.Host, s.options(&conn)...)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	err = client.DialWithContext(ctx)
	if conn != nil {
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
	}
	if err != nil {
		return s.unreached(ctx, err)
	}
	_ = client.Close() // says goodbye
	return nil
}
