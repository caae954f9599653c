package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Proxies are the networks of those in front of this server whose word about where a request comes from is taken.
type Proxies []netip.Prefix

// ParseProxies reads addresses and networks with spaces or commas between, such as "10.0.0.5 10.1.0.0/16 ::1".
func ParseProxies(text string) (Proxies, error) {
	var list Proxies
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		network, err := netip.ParsePrefix(word)
		if err != nil {
			at, addressErr := netip.ParseAddr(word)
			if addressErr != nil {
				return nil, fault.New(fault.Invalid, "the trusted proxy %.100q is neither an address nor a network, such as 10.0.0.5 or 10.1.0.0/16", word)
			}
			network = netip.PrefixFrom(at, at.BitLen())
		}
		list = append(list, network.Masked())
	}
	return list, nil
}

func (p Proxies) trusts(at netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(at) })
}

// resolve returns the request with the address of its sender as RemoteAddr. Each proxy adds to the end of
// X-Forwarded-For whom it heard from: the last who is none of ours is the sender. What stands before that, anybody may
// have written.
func (p Proxies) resolve(r *http.Request) *http.Request {
	said := r.Header.Values("X-Forwarded-For")
	if len(p) == 0 || len(said) == 0 {
		return r
	}
	sender, ok := parseAddress(sourceIP(r))
	if !ok || !p.trusts(sender) {
		return r
	}
	hops := strings.Split(strings.Join(said, ","), ",")
	for _, hop := range slices.Backward(hops) {
		at, ok := parseAddress(strings.TrimSpace(hop))
		if !ok {
			break
		}
		sender = at
		if !p.trusts(at) {
			break
		}
	}
	out := *r
	out.RemoteAddr = net.JoinHostPort(sender.String(), "0")
	return &out
}

// parseAddress reads an address as proxies write it, with a port or without.
func parseAddress(text string) (netip.Addr, bool) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap(), true
	}
	at, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return at.Unmap(), err == nil
}

// sourceIP is the address of a request's sender.
func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
