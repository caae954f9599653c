//go:build !linux

package proxy

import "syscall"

func anyAddress(_, _ string, _ syscall.RawConn) error { return nil }
