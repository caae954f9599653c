package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/treeline-ci/treeline/internal/sys"
)

// probeSize is the length of the probe's file: like a segment of a database's log it has its full
// length before it is written to, so that a sync need not write down a new length too.
const probeSize = 1 << 20

const probePage = 8 << 10 // what PostgreSQL writes at least

// ProbeSync writes n pages one after another to a file in dir, each followed by an fdatasync as
// after a commit, and returns how long each write and sync took.
func ProbeSync(dir string, n int) (took Sample, err error) {
	f, err := os.Create(filepath.Join(dir, "sync-probe"))
	if err != nil {
		return nil, fmt.Errorf("bench: probe: %w", err)
	}
	defer func() {
		if e := errors.Join(f.Close(), os.Remove(f.Name())); e != nil && err == nil {
			err = fmt.Errorf("bench: probe: %w", e)
		}
	}()
	if _, err := f.Write(make([]byte, probeSize)); err != nil {
		return nil, fmt.Errorf("bench: probe: %w", err)
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("bench: probe: %w", err)
	}
	page := make([]byte, probePage)
	for i := range n {
		began := time.Now()
		if _, err := f.WriteAt(page, int64(i*probePage%probeSize)); err != nil {
			return nil, fmt.Errorf("bench: probe: %w", err)
		}
		if err := sys.SyncData(f); err != nil {
			return nil, fmt.Errorf("bench: probe: fdatasync: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}
