package main

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// notifySocket names the socket at which systemd wants to hear that a unit of the type notify is ready; it is not set
// elsewhere.
const notifySocket = "NOTIFY_SOCKET"

// tellSystemd says to systemd that the server serves, so that "systemctl start" returns then and not before. Nothing is
// said when nobody wants to hear it.
func tellSystemd() (err error) {
	at := os.Getenv(notifySocket)
	if at == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.Write([]byte("READY=1")); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}
