package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// logLimit is how large a log file grows before it becomes the old one, in bytes.
const logLimit = 8 << 20

// logFile is a file for a log of which only the end is of use: when it has reached its limit it becomes
// NAME.1, in the place of the one before. It may be written by several goroutines.
type logFile struct {
	name  string
	limit int64

	mu   sync.Mutex
	file *os.File
	size int64
}

func openLog(name string, limit int64) (*logFile, error) {
	l := &logFile{name: name, limit: limit}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("dev: worker log: %w", err)
	}
	return l, nil
}

func (l *logFile) open() error {
	file, err := os.OpenFile(l.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.size = file, info.Size()
	return nil
}

// Write appends to the file, or to a new one.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return 0, fs.ErrClosed
	}
	if l.size > 0 && l.size+int64(len(p)) > l.limit {
		if err := errors.Join(l.file.Close(), os.Rename(l.name, l.name+".1")); err != nil {
			return 0, err
		}
		if err := l.open(); err != nil {
			l.file = nil
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

// Close closes the file.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	return file.Close()
}
