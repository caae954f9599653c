// Package tasklog keeps the log of one run: a file that the task's output and the worker's own
// lines go to, and an uploader that follows the file while it grows. The file is the buffer when
// the server is away: nothing is lost and nothing is held in memory.
package tasklog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"strings"
	"sync"
	"time"
)

// Log is a run's log. It is safe for concurrent use.
type Log struct {
	grown chan struct{} // holds a token when the uploader should look
	done  chan struct{} // closed by Close

	mu      sync.Mutex
	file    *os.File
	hash    hash.Hash
	size    int64
	limit   int64
	full    bool
	closed  bool
	midLine bool
	err     error
}

// Create starts a log in a new file. Output of the task beyond limit bytes is dropped, with a
// line that says so; 0 means no limit.
func Create(path string, limit int64) (*Log, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("tasklog: create: %w", err)
	}
	return &Log{file: file, hash: sha256.New(), limit: limit, grown: make(chan struct{}, 1), done: make(chan struct{})}, nil
}

// Write adds output of the task. It never fails, lest a full disk end the task by a broken pipe;
// Err tells.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.full:
	case l.limit > 0 && l.size+int64(len(p)) > l.limit:
		l.full = true
		l.add(p[:max(0, l.limit-l.size)])
		l.line("[taskcluster:error]", fmt.Sprintf("The log has reached %d bytes: further output is dropped.", l.limit))
	default:
		l.add(p)
	}
	return len(p), nil
}

// Say adds a line of the worker's own.
func (l *Log) Say(format string, args ...any) {
	l.own("[taskcluster "+time.Now().UTC().Format("2006-01-02T15:04:05.000Z")+"]", format, args)
}

// Warn adds a line about something that is not as the task wanted it.
func (l *Log) Warn(format string, args ...any) { l.own("[taskcluster:warn]", format, args) }

// Error adds a line about what made the task fail.
func (l *Log) Error(format string, args ...any) { l.own("[taskcluster:error]", format, args) }

func (l *Log) own(prefix, format string, args []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line(prefix, fmt.Sprintf(format, args...))
}

// line adds a text with the prefix before each of its lines, beginning on a line of its own.
func (l *Log) line(prefix, text string) {
	var b bytes.Buffer
	if l.midLine {
		b.WriteByte('\n')
	}
	for part := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(prefix + " " + part + "\n")
	}
	l.add(b.Bytes())
}

func (l *Log) add(p []byte) {
	if len(p) == 0 || l.closed || l.err != nil {
		return
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	l.hash.Write(p[:n])
	l.err = err
	l.midLine = p[len(p)-1] != '\n'
	select {
	case l.grown <- struct{}{}:
	default:
	}
}

// Size returns how long the log is now, in bytes.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Err returns why the log is not complete, nil when it is.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// ReadAt reads what was written.
func (l *Log) ReadAt(p []byte, off int64) (int, error) { return l.file.ReadAt(p, off) }

// Close says that nothing more comes; later writes are dropped. The file stays open for reading
// until Discard.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.done)
	}
}

// Sum returns the sha256 of the log in hexadecimal.
func (l *Log) Sum() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return hex.EncodeToString(l.hash.Sum(nil))
}

// Discard closes and gives back the file; its uploader must have ended.
func (l *Log) Discard() error {
	l.Close()
	return l.file.Close()
}
