package wire

// Network is the key under which a client's requests are limited: its address,
// or for IPv6 its /64, which is one customer's.
func (r *Request) Network() string {
	if p, err := r.Remote.Prefix(64); err == nil && r.Remote.Is6() {
		return p.String()
	}
	return r.Remote.String()
}
