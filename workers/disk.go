package workers

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/workers/feature/mounts"
)

// diskEvery is how often the disk is looked at.
const diskEvery = time.Second

// disk keeps tasks from filling the file system that they share with the worker.
type disk struct {
	dir     string
	minFree int64 // bytes; 0: nobody looks
	caches  *mounts.Caches
	log     *slog.Logger

	mu   sync.Mutex
	runs map[string]context.CancelCauseFunc // by directory
}

// watch puts a run's directory under watch until the returned function is called.
func (d *disk) watch(dir string, stop context.CancelCauseFunc) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs[dir] = stop
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.runs, dir)
	}
}

// keep looks at the disk until ctx ends. When too little is free it drops caches that nobody uses, and when that
// does not help it stops the run that has most.
func (d *disk) keep(ctx context.Context) {
	if d.minFree <= 0 {
		return
	}
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		free, err := freeBytes(d.dir)
		if err != nil || free >= d.minFree {
			continue
		}
		dropped, err := d.caches.DropUnused()
		d.log.Warn("the disk is nearly full", "free", free, "want", d.minFree, "caches dropped", dropped, "error", err)
		if free, err = freeBytes(d.dir); err == nil && free < d.minFree {
			d.stopBiggest(free)
		}
	}
}

func (d *disk) stopBiggest(free int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var biggest string
	var most int64 = -1
	for dir := range d.runs {
		if n := mounts.Size(dir); n > most {
			biggest, most = dir, n
		}
	}
	if biggest == "" {
		return
	}
	d.log.Warn("a run is stopped for want of disk", "run", filepath.Base(filepath.Dir(biggest)), "bytes", most)
	d.runs[biggest](fmt.Errorf("%w: %d MB are free, the worker keeps %d MB; this task's directory has %d MB, the most of all", errDiskFull, free>>20, d.minFree>>20, most>>20))
	delete(d.runs, biggest)
}

func freeBytes(dir string) (int64, error) {
	return sys.Free(dir)
}
