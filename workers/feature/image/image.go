// Package image brings the images of tasks to a worker's engine: from registries by name and digest, and from
// artifacts of other tasks, verified by their sha256. What came from artifacts is kept under its digest and goes
// again, the longest unused first, when all of it is more than the worker may keep.
package image

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/archive"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/payload"
)

// Cache is a worker's images. It may be used by several goroutines.
type Cache struct {
	images  engine.Images
	dir     string
	budget  int64
	digests bool

	mu     sync.Mutex
	known  map[string]*entry        // by source
	using  map[string]int           // by name in the engine
	flight map[string]chan struct{} // sources that are being fetched
}

// entry is an image that was made of an artifact.
type entry struct {
	SHA256 string    `json:"sha256"` // of the artifact
	Name   string    `json:"name"`   // in the engine
	Size   int64     `json:"size"`
	Used   time.Time `json:"used"`
}

// Options of a Cache.
type Options struct {
	Dir     string // for its notes and for downloads on their way
	Budget  int64  // bytes of images that may be kept between tasks; 0: no limit
	Digests bool   // a registry's images must be named by digest
}

// Env is the task that wants an image.
type Env struct {
	Client *client.Client // with the task's credentials
	Task   task.Definition
	Say    func(format string, args ...any)
}

// Got is an image that is there.
type Got struct {
	Name     string // in the engine
	ID       string
	Artifact string // "<sha256> <name>" of the artifact it was made of; "" for a registry's
	Release  func() // must be called when the task has ended
}

const notes = "images.json"

// Open reads what an earlier worker noted.
func Open(images engine.Images, o Options) (*Cache, error) {
	c := &Cache{
		images: images, dir: o.Dir, budget: o.Budget, digests: o.Digests,
		known: map[string]*entry{}, using: map[string]int{}, flight: map[string]chan struct{}{},
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(o.Dir, notes))
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &c.known)
	}
	if err != nil { // they cost only time
		c.known = map[string]*entry{}
	}
	return c, nil
}

// Get brings an image to the engine. What the task named wrongly is fault.Invalid or fault.NotFound; a source that
// does not answer is fault.Unavailable.
func (c *Cache) Get(ctx context.Context, env Env, want payload.Image) (*Got, error) {
	if want.Name != "" {
		return c.named(ctx, env, want.Name)
	}
	taskID := want.TaskID
	if taskID != "" && !slices.Contains(env.Task.Dependencies, taskID) {
		return nil, fault.New(fault.Invalid, "/image/taskId: the image is an artifact of task %s, so that task must be in dependencies", taskID)
	}
	if taskID == "" {
		found, err := env.Client.FindTask(ctx, want.Namespace)
		if err != nil {
			return nil, fmt.Errorf("/image/namespace: %s: %w", want.Namespace, err)
		}
		taskID = found.TaskID
	}
	return c.made(ctx, env, taskID, want.Artifact)
}

// named is an image of a registry, or one that is here by that name.
func (c *Cache) named(ctx context.Context, env Env, name string) (*Got, error) {
	_, digest, pinned := strings.Cut(name, "@")
	if c.digests && !pinned {
		return nil, fault.New(fault.Invalid, "/image: %s is a name that can change what it means: this worker wants images by digest, name@sha256:...", name)
	}
	defer c.alone(name)()
	found, err := c.images.Find(ctx, name)
	if errors.Is(err, fault.NotFound) {
		env.Say("Pulling image %s", name)
		if err := c.images.Pull(ctx, name, nil); err != nil {
			return nil, pullError(name, err)
		}
		found, err = c.images.Find(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	if pinned && found.ID != digest && !slices.ContainsFunc(found.Digests, func(d string) bool { return strings.HasSuffix(d, "@"+digest) }) {
		return nil, fault.New(fault.Invalid, "/image: %s is not what the engine has under that name (%s)", name, cmp.Or(strings.Join(found.Digests, ", "), found.ID))
	}
	env.Say("Image %s is %s", name, found.ID)
	return &Got{Name: name, ID: found.ID, Release: func() {}}, nil
}

// pullError tells an image that no registry has from a registry that does not answer.
func pullError(name string, err error) error {
	text := err.Error()
	for _, part := range []string{"not found", "manifest unknown", "denied", "unauthorized", "invalid reference", "no such image", "short-name"} {
		if strings.Contains(strings.ToLower(text), part) {
			return fault.Wrap(fault.Invalid, err, "/image: %s cannot be pulled: %v", name, err)
		}
	}
	return fault.Wrap(fault.Unavailable, err, "image %s cannot be pulled: %v", name, err)
}

// alone waits until nobody else fetches the same thing; the returned function lets the next one.
func (c *Cache) alone(source string) (next func()) {
	for {
		c.mu.Lock()
		busy, ok := c.flight[source]
		if !ok {
			done := make(chan struct{})
			c.flight[source] = done
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.flight, source)
				c.mu.Unlock()
				close(done)
			}
		}
		c.mu.Unlock()
		<-busy
	}
}

// made is the image that a task left as an artifact.
func (c *Cache) made(ctx context.Context, env Env, taskID, artifact string) (*Got, error) {
	source := taskID + "/" + artifact
	defer c.alone(source)()
	c.mu.Lock()
	e := c.known[source]
	c.mu.Unlock()
	if e != nil {
		if found, err := c.images.Find(ctx, e.Name); err == nil {
			env.Say("Image of task %s is here already: sha256 %s", taskID, e.SHA256)
			return c.use(ctx, source, e, found, artifact), nil
		} else if !errors.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	e, found, err := c.load(ctx, env, taskID, artifact)
	if err != nil {
		return nil, err
	}
	return c.use(ctx, source, e, found, artifact), nil
}

// load downloads an artifact, verified as every download is, and gives it to the engine.
func (c *Cache) load(ctx context.Context, env Env, taskID, artifact string) (_ *entry, _ engine.Image, err error) {
	kind := archive.Kind(path.Base(artifact))
	if kind == "" || kind == "zip" {
		return nil, engine.Image{}, fault.New(fault.Invalid, "/image/path: %s is no image by its name: it must end in .tar, .tar.gz, .tar.zst, .tar.xz or .tar.bz2", artifact)
	}
	file, err := os.CreateTemp(c.dir, "image-*")
	if err != nil {
		return nil, engine.Image{}, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	env.Say("Downloading image %s of task %s", artifact, taskID)
	got, err := env.Client.DownloadArtifact(ctx, client.Download{TaskID: taskID, RunID: client.LatestRun, Name: artifact}, file)
	if err != nil {
		return nil, engine.Image{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, engine.Image{}, err
	}
	plain, err := archive.Decompress(ctx, file, kind)
	if err != nil {
		return nil, engine.Image{}, fault.Wrap(fault.Invalid, err, "/image/path: %s", artifact)
	}
	names, err := c.images.Load(ctx, plain)
	if err = errors.Join(err, plain.Close()); err != nil {
		return nil, engine.Image{}, fault.Wrap(fault.Invalid, err, "/image/path: %s is no image: %v", artifact, err)
	}
	e := &entry{SHA256: got.SHA256, Name: "treeline-image:" + got.SHA256}
	if err := c.images.Tag(ctx, names[0], e.Name); err != nil {
		return nil, engine.Image{}, err
	}
	found, err := c.images.Find(ctx, e.Name)
	e.Size = found.Size
	env.Say("Loaded image: sha256 %s, %d MB", e.SHA256, e.Size>>20)
	return e, found, err
}

// use notes that an image is in use, and lets unused ones go when there are too many.
func (c *Cache) use(ctx context.Context, source string, e *entry, found engine.Image, artifact string) *Got {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Used = time.Now()
	c.known[source] = e
	c.using[e.Name]++
	c.trim(ctx)
	c.note()
	var once sync.Once
	return &Got{Name: e.Name, ID: found.ID, Artifact: e.SHA256 + " " + artifact, Release: func() {
		once.Do(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.using[e.Name]--; c.using[e.Name] <= 0 {
				delete(c.using, e.Name)
			}
			c.trim(context.WithoutCancel(ctx))
			c.note()
		})
	}}
}

// trim removes the images that were not used for longest until the rest fits.
func (c *Cache) trim(ctx context.Context) {
	if c.budget <= 0 {
		return
	}
	var total int64
	sources := make([]string, 0, len(c.known))
	for source, e := range c.known {
		sources = append(sources, source)
		total += e.Size
	}
	slices.SortFunc(sources, func(a, b string) int { return c.known[a].Used.Compare(c.known[b].Used) })
	for _, source := range sources {
		e := c.known[source]
		if total <= c.budget || c.using[e.Name] > 0 {
			continue
		}
		if err := c.images.Remove(ctx, e.Name); err != nil && !errors.Is(err, fault.NotFound) {
			continue // the next one; this one is tried again at the next chance
		}
		total -= e.Size
		delete(c.known, source)
	}
}

// note writes down what is known; without it the next worker downloads again.
func (c *Cache) note() {
	data, err := json.Marshal(c.known)
	if err != nil {
		return
	}
	fresh := filepath.Join(c.dir, notes+".new")
	if os.WriteFile(fresh, data, 0o600) == nil {
		_ = os.Rename(fresh, filepath.Join(c.dir, notes))
	}
}
