package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/object/store"
)

// Objects says where contents are kept besides the data directory; the zero value: nowhere. It is what
// a file of object stores has (docs/how-to/object-storage.md).
type Objects struct {
	Uploads      string        `yaml:"uploads"`
	Region       string        `yaml:"region"`
	MaxBytes     int64         `yaml:"max-bytes"`
	CopyWait     time.Duration `yaml:"copy-wait"`
	Stores       []ObjectStore `yaml:"stores"`
	Networks     []Network     `yaml:"networks"`
	Proxies      []string      `yaml:"proxies"`
	RegionHeader string        `yaml:"region-header"`
}

// ObjectStore is a place for contents: either Disk or S3 is given.
type ObjectStore struct {
	Name            string `yaml:"name"`
	Region          string `yaml:"region"`
	Disk            string `yaml:"disk"`
	S3              *S3    `yaml:"s3"`
	DirectDownloads bool   `yaml:"direct-downloads"`
	DirectUploads   bool   `yaml:"direct-uploads"`
}

// S3 is a bucket. Keys that begin with "$" name a variable of the environment.
type S3 struct {
	Endpoint       string `yaml:"endpoint"`
	PublicEndpoint string `yaml:"public-endpoint"`
	Bucket         string `yaml:"bucket"`
	Prefix         string `yaml:"prefix"`
	Region         string `yaml:"region"`
	AccessKey      string `yaml:"access-key"`
	SecretKey      string `yaml:"secret-key"`
}

// Network is where readers of a region are.
type Network struct {
	Network string `yaml:"network"`
	Region  string `yaml:"region"`
}

// LoadObjects reads a file of object stores. Unknown settings are errors; the path "" is no file.
func LoadObjects(path string) (Objects, error) {
	if path == "" {
		return Objects{}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Objects{}, fmt.Errorf("app: object stores: %w", err)
	}
	o, err := parseObjects(text)
	if err != nil {
		return Objects{}, fault.Wrap(fault.Invalid, err, "app: object stores in %s", path)
	}
	return o, nil
}

func parseObjects(text []byte) (Objects, error) {
	var o Objects
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&o); err != nil && !errors.Is(err, io.EOF) {
		return Objects{}, err
	}
	var problems []error
	for i := range o.Stores {
		problems = append(problems, o.Stores[i].check())
	}
	_, err := o.regions()
	return o, errors.Join(append(problems, err)...)
}

// check puts in what the environment has, and refuses what makes no sense.
func (s *ObjectStore) check() error {
	switch {
	case (s.Disk == "") == (s.S3 == nil):
		return fmt.Errorf("store %q: give either disk, a directory, or s3", s.Name)
	case s.S3 == nil && (s.DirectDownloads || s.DirectUploads):
		return fmt.Errorf("store %q: clients cannot reach a directory directly", s.Name)
	case s.S3 == nil && !filepath.IsAbs(s.Disk):
		return fmt.Errorf("store %q: the directory %q must be an absolute path", s.Name, s.Disk)
	case s.S3 == nil:
		return nil
	}
	for _, key := range []*string{&s.S3.AccessKey, &s.S3.SecretKey} {
		name, named := strings.CutPrefix(*key, "$")
		if !named {
			continue
		}
		var err error
		if *key, err = Setting(name); err != nil {
			return fmt.Errorf("store %q: %w", s.Name, err)
		}
		if *key == "" {
			return fmt.Errorf("store %q: the environment has no %s", s.Name, name)
		}
	}
	return nil
}

func (o Objects) regions() (object.Regions, error) {
	out := object.Regions{Header: o.RegionHeader}
	for _, n := range o.Networks {
		prefix, err := netip.ParsePrefix(n.Network)
		if err != nil || n.Region == "" {
			return out, fmt.Errorf("networks: %q with region %q: give an address block, such as 10.0.0.0/8, and its region", n.Network, n.Region)
		}
		out.Networks = append(out.Networks, object.Network{Prefix: prefix, Region: n.Region})
	}
	for _, p := range o.Proxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return out, fmt.Errorf("proxies: %q: give an address block, such as 10.0.0.5/32", p)
		}
		out.Proxies = append(out.Proxies, prefix)
	}
	if o.RegionHeader != "" && len(out.Proxies) == 0 {
		return out, errors.New("region-header is believed of proxies only: list them under proxies")
	}
	return out, nil
}

// checkStores is how long the services of stores may take to answer when the server starts.
const checkStores = 10 * time.Second

// makeObjects makes the room. A bucket that does not exist is an error; one that cannot be reached now
// may come, and nothing but contents needs it.
func (a *App) makeObjects(ctx context.Context) (err error) {
	c := a.config
	o := object.Config{
		Dir: c.DataDir, RootURL: c.RootURL, URLKey: c.Secrets.URLKey, RetiredURLKeys: c.Secrets.RetiredURLKeys, Log: c.Log, MaxSize: c.Objects.MaxBytes,
		Uploads: c.Objects.Uploads, DiskRegion: c.Objects.Region, CopyWait: c.Objects.CopyWait,
	}
	if o.Regions, err = c.Objects.regions(); err != nil {
		return err
	}
	for _, s := range c.Objects.Stores {
		place := object.Place{Name: s.Name, Region: s.Region, DirectReads: s.DirectDownloads, DirectUploads: s.DirectUploads}
		if place.Store, err = a.openStore(ctx, s); err != nil {
			return fmt.Errorf("app: object store %s: %w", s.Name, err)
		}
		o.Places = append(o.Places, place)
	}
	a.objects, err = object.New(a.pool, o)
	return err
}

func (a *App) openStore(ctx context.Context, s ObjectStore) (store.Store, error) {
	if s.S3 == nil {
		return store.OpenDisk(s.Disk)
	}
	bucket, err := store.OpenS3(store.S3Config(*s.S3))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkStores)
	defer cancel()
	if err := bucket.Check(ctx); errors.Is(err, fault.Invalid) {
		return nil, err
	} else if err != nil {
		a.config.Log.WarnContext(ctx, "an object store does not answer now", "store", s.Name, "err", err)
	}
	return bucket, nil
}
