package wire

import (
	"net/netip"
	"slices"
	"strings"
)

// forwardedFor walks X-Forwarded-For from its end, past the proxies that are
// trusted, to the address the outermost of them saw. Anything left of that is
// the client's invention.
func forwardedFor(headers []string, trusted []netip.Prefix, peer netip.Addr) netip.Addr {
	hops := strings.Split(strings.Join(headers, ","), ",")
	slices.Reverse(hops)
	for _, hop := range hops {
		addr, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return peer
		}
		peer = addr.Unmap()
		if !containsAddr(trusted, peer) {
			return peer
		}
	}
	return peer
}

func containsAddr(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
