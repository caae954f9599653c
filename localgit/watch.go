package localgit

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch calls look at once, whenever the hook says that a branch moved, and every poll at the
// latest, until ctx ends. Calls do not overlap; several moves may share one call.
func (r *Repo) Watch(ctx context.Context, poll time.Duration, look func(context.Context)) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("localgit: watch: %w", err)
	}
	defer watcher.Close()
	// The directory, not the file: the hook may not have made it yet. Git's own files there
	// (HEAD, packed-refs, index) come along for free.
	if err := watcher.Add(r.gitDir); err != nil {
		return fmt.Errorf("localgit: watch %s: %w", r.gitDir, err)
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	look(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			look(ctx)
		case e := <-watcher.Events:
			if filepath.Base(e.Name) == notifyFile || filepath.Base(e.Name) == "packed-refs" {
				look(ctx)
			}
		case _, open := <-watcher.Errors: // an overflow: the poll finds what was lost
			if !open {
				return nil
			}
		}
	}
}
