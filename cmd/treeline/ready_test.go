package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSystemdHearsThatTheServerServes(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify-") //nolint:usetesting // paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	at := filepath.Join(dir, "socket")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	t.Setenv(notifySocket, at)
	if err := tellSystemd(); err != nil {
		t.Fatal(err)
	}
	if err := systemd.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 100)
	if n, err := systemd.Read(said); err != nil || string(said[:n]) != "READY=1" {
		t.Errorf("systemd hears %q, %v", said[:n], err)
	}
	t.Run("nobody is there", func(t *testing.T) {
		t.Setenv(notifySocket, at+"-gone")
		if tellSystemd() == nil {
			t.Error("no error")
		}
	})
	t.Run("nobody asked", func(t *testing.T) {
		t.Setenv(notifySocket, "")
		if err := tellSystemd(); err != nil {
			t.Error(err)
		}
	})
}
