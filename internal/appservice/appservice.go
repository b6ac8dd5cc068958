// Package appservice knows the application services of this server: their
// registrations, tokens and namespaces.
//
// Holds: [Load], [Registry], [Service].
//
// May import: matrix.
//
// Never: what is sent to them; a token in the clear.
package appservice

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"regexp"
	"slices"

	"lethe/internal/matrix"
)

// Service is a registered application service (Application Service API,
// Registration).
type Service struct {
	ID string
	// URL is where it takes events, "" if it wants none.
	URL string
	// Sender is the user it acts as unless it names another.
	Sender matrix.UserID
	// RateLimited tells whether requests of its users count against limits.
	RateLimited bool

	token          [sha256.Size]byte
	users, aliases []namespace
}

// namespace is a set of user ids or aliases; an exclusive one is the service's
// alone.
type namespace struct {
	exclusive bool
	pattern   *regexp.Regexp
}

// Registry is all application services of a server. A nil Registry has none.
type Registry struct {
	services []*Service
	server   matrix.ServerName
}

// Load reads registrations from YAML files, for the users of server. The error
// names the file and, where there is one, the line of each mistake. Two
// services with the same id, as_token or sender are a mistake (Application
// Service API, Registration: the homeserver has to enforce this).
func Load(server matrix.ServerName, files []string) (*Registry, error) {
	reg := &Registry{server: server}
	for _, file := range files {
		s, err := load(server, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, other := range reg.services {
			if other.ID == s.ID || other.token == s.token || other.Sender == s.Sender {
				return nil, fmt.Errorf("%s: the id, as_token or sender_localpart is that of the application service %q, too", file, other.ID)
			}
		}
		reg.services = append(reg.services, s)
	}
	return reg, nil
}

// Services lists all application services.
func (r *Registry) Services() []*Service {
	if r == nil {
		return nil
	}
	return slices.Clone(r.services)
}

// ByToken returns the application service with this as_token, or nil. The time
// it takes does not depend on the token.
func (r *Registry) ByToken(token string) *Service {
	if r == nil {
		return nil
	}
	hash := sha256.Sum256([]byte(token))
	var found *Service
	for _, s := range r.services {
		if subtle.ConstantTimeCompare(hash[:], s.token[:]) == 1 {
			found = s
		}
	}
	return found
}

// Owns tells whether the application service may act as user: its own sender,
// or one in its namespaces (Application Service API, Identity assertion).
func (s *Service) Owns(user matrix.UserID) bool { return s.matches(user, false) }

// matches tells whether user is the sender, or in a namespace: of the exclusive
// ones only, if asked. Namespaces have local users only (Application Service
// API, Registration).
func (s *Service) matches(user matrix.UserID, exclusive bool) bool {
	if user == s.Sender {
		return true
	}
	return user.Server() == s.Sender.Server() && slices.ContainsFunc(s.users, func(n namespace) bool {
		return (n.exclusive || !exclusive) && n.pattern.MatchString(string(user))
	})
}

// Exclusive tells whether user belongs to one application service alone, other
// than except (nil for none): nobody else may register it.
func (r *Registry) Exclusive(user matrix.UserID, except *Service) bool {
	return slices.ContainsFunc(r.Services(), func(s *Service) bool { return s != except && s.matches(user, true) })
}

// MayAlias tells whether an alias may be made: by the application service with
// this id, or, "", by somebody else. A service has those in its namespaces;
// nobody else has those in exclusive ones (Application Service API, Server admin
// style permissions).
func (r *Registry) MayAlias(alias matrix.RoomAlias, id string) bool {
	has := func(s *Service, n namespace) bool {
		return (n.exclusive || s.ID == id) && n.pattern.MatchString(string(alias))
	}
	for _, s := range r.Services() {
		if (id == "" || s.ID == id) && slices.ContainsFunc(s.aliases, func(n namespace) bool { return has(s, n) }) {
			return id != ""
		}
	}
	return id == ""
}
