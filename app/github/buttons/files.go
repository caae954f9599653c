package buttons

import (
	"sync"
	"time"

	"github.com/treeline-ci/treeline/templates"
)

// keepFile is how long the file of a default branch is kept to say which buttons there are. What it says of rights is
// read anew each time.
const keepFile = time.Minute

// Files keeps files of default branches. The zero value is ready.
type Files struct {
	mu   sync.Mutex
	kept map[int64]keptFile
}

type keptFile struct {
	file *templates.File
	read time.Time
}

// Get returns the file of a repository, by its id: as it was read within the last minute, or as read reads it now. While
// it cannot be read it is what it was, or nil where that is not known.
func (c *Files) Get(repository int64, read func() (*templates.File, error)) *templates.File {
	c.mu.Lock()
	k, ok := c.kept[repository]
	c.mu.Unlock()
	if ok && time.Since(k.read) < keepFile {
		return k.file
	}
	now := time.Now()
	file, err := read()
	if err != nil {
		file = k.file
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) > 1000 {
		c.kept = map[int64]keptFile{}
	}
	c.kept[repository] = keptFile{file, now}
	return file
}

// Drop forgets the file of a repository, whose default branch has moved.
func (c *Files) Drop(repository int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, repository)
}
