package object

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object/store"
)

// diskName is the place that is always there. Rows written before there were others have it.
const diskName = "disk"

// Place is a store with its name, which the database remembers, and where it is.
type Place struct {
	Name   string
	Region string // readers of this region get what they read copied to it; "": it is no mirror
	Store  store.Store

	// Clients may be sent to the store itself, if it signs URLs: to read, and to upload with putUrl.
	DirectReads, DirectUploads bool
}

// signer is the place's store when clients may be sent to it.
func (p *Place) signer(allowed bool) (store.Signer, bool) {
	if !allowed {
		return nil, false
	}
	signer, ok := p.Store.(store.Signer)
	return signer, ok
}

type places struct {
	all      []*Place
	byName   map[string]*Place
	byRegion map[string]*Place
	uploads  *Place
}

func (c Config) places(disk store.Store) (places, error) {
	out := places{byName: map[string]*Place{}, byRegion: map[string]*Place{}}
	for _, p := range append([]Place{{Name: diskName, Region: c.DiskRegion, Store: disk}}, c.Places...) {
		if p.Name == "" || out.byName[p.Name] != nil {
			return places{}, fault.New(fault.Invalid, "the name %q of a store is empty or given twice (disk is that of the data folder)", p.Name)
		}
		if other := out.byRegion[p.Region]; p.Region != "" && other != nil {
			return places{}, fault.New(fault.Invalid, "the stores %s and %s both are of the region %s", other.Name, p.Name, p.Region)
		}
		out.all = append(out.all, &p)
		out.byName[p.Name] = &p
		if p.Region != "" {
			out.byRegion[p.Region] = &p
		}
	}
	name := c.Uploads
	if name == "" {
		name = diskName
	}
	if out.uploads = out.byName[name]; out.uploads == nil {
		return places{}, fault.New(fault.Invalid, "uploads should go to the store %q, which is not configured", name)
	}
	return out, nil
}

func (p places) named(name string) (*Place, error) {
	if found := p.byName[name]; found != nil {
		return found, nil
	}
	return nil, fault.Wrap(fault.Unavailable, fmt.Errorf("the store %q is not configured on this server", name), "The storage for this object cannot be used at the moment.")
}

// Regions say where a reader is. The zero value knows no regions.
type Regions struct {
	Networks []Network
	Proxies  []netip.Prefix // whose headers are believed
	Header   string         // set by a proxy to the reader's region; "": none
}

// Network is where readers of a region are.
type Network struct {
	Prefix netip.Prefix
	Region string
}

// RegionOf returns the region that a request comes from, "" when it is not known. A proxy that is
// trusted says it in the header; else it is that of the smallest network that has the client's
// address, which a trusted proxy gives in X-Forwarded-For.
func (s *Store) RegionOf(r *http.Request) string {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	client := remote.Addr().Unmap()
	if within(client, s.regions.Proxies) {
		if region := r.Header.Get(s.regions.Header); s.regions.Header != "" && region != "" {
			return region
		}
		client = s.regions.forwarded(client, strings.Join(r.Header.Values("X-Forwarded-For"), ","))
	}
	best, region := -1, ""
	for _, n := range s.regions.Networks {
		if n.Prefix.Contains(client) && n.Prefix.Bits() > best {
			best, region = n.Prefix.Bits(), n.Region
		}
	}
	return region
}

// forwarded goes back through proxies that are trusted to the first address that is none.
func (r Regions) forwarded(client netip.Addr, header string) netip.Addr {
	hops := strings.Split(header, ",")
	for i := len(hops) - 1; i >= 0 && within(client, r.Proxies); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		client = hop.Unmap()
	}
	return client
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
