package appservice

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"

	"go.yaml.in/yaml/v3"

	"lethe/internal/matrix"
)

// registration is the file that an application service comes with. Keys that
// are not here are passed over: most services bring extensions of their own.
type registration struct {
	ID              text      `yaml:"id"`
	URL             yaml.Node `yaml:"url"` // null says something else than nothing
	ASToken         text      `yaml:"as_token"`
	HSToken         text      `yaml:"hs_token"`
	SenderLocalpart text      `yaml:"sender_localpart"`
	RateLimited     *bool     `yaml:"rate_limited"`
	Namespaces      *struct {
		Users   []entry `yaml:"users"`
		Aliases []entry `yaml:"aliases"`
		Rooms   []entry `yaml:"rooms"`
	} `yaml:"namespaces"`
}

// entry is one namespace of a registration.
type entry struct {
	Exclusive *bool `yaml:"exclusive"`
	Regex     text  `yaml:"regex"`
}

// text is a string and the line it is on, 0 where it is missing.
type text struct {
	value string
	line  int
}

// UnmarshalYAML takes strings only.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	t.line = n.Line
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		return fmt.Errorf("line %d: this must be a string; put it into quotes", n.Line)
	}
	t.value = n.Value
	return nil
}

// mistakes collects what is wrong with a registration.
type mistakes []error

func (m *mistakes) add(line int, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if line > 0 {
		err = fmt.Errorf("line %d: %w", line, err)
	}
	*m = append(*m, err)
}

func load(server matrix.ServerName, file string) (*Service, error) {
	raw, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	var r registration
	if err := yaml.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	return r.service(server)
}

// service checks a registration and makes the service that it is of.
func (r *registration) service(server matrix.ServerName) (*Service, error) {
	var m mistakes
	for _, key := range []struct {
		name string
		t    text
	}{{"id", r.ID}, {"as_token", r.ASToken}, {"hs_token", r.HSToken}, {"sender_localpart", r.SenderLocalpart}} {
		if key.t.value == "" {
			m.add(key.t.line, "%s is needed, and not empty", key.name)
		}
	}
	s := &Service{
		ID: r.ID.value, token: sha256.Sum256([]byte(r.ASToken.value)),
		Sender:      matrix.NewUserID(r.SenderLocalpart.value, server),
		RateLimited: r.RateLimited == nil || *r.RateLimited,
	}
	if _, err := matrix.ParseUserID(string(s.Sender)); err != nil {
		m.add(r.SenderLocalpart.line, "sender_localpart: %w", err)
	}
	s.URL = address(r.URL, &m)
	if r.Namespaces == nil {
		m.add(0, "namespaces is needed, with the keys users, aliases and rooms")
	} else {
		s.users = namespaces(r.Namespaces.Users, &m)
		s.aliases = namespaces(r.Namespaces.Aliases, &m)
		namespaces(r.Namespaces.Rooms, &m)
	}
	return s, errors.Join(m...)
}

// address is where an application service takes events, "" for nowhere.
func address(n yaml.Node, m *mistakes) string {
	if n.IsZero() {
		m.add(0, "url is needed; null if the application service takes no events")
	}
	if n.IsZero() || n.Tag == "!!null" {
		return ""
	}
	if u, err := url.Parse(n.Value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		m.add(n.Line, "url must be an http or https URL, or null")
	}
	return n.Value
}

// namespaces compiles patterns. They describe whole ids (definition Namespace:
// "which values this namespace includes"), so that `@irc_` is nobody and
// `@bob:example.org` is not also `@bob:example.org.example.com`.
func namespaces(entries []entry, m *mistakes) (list []namespace) {
	for _, e := range entries {
		_, err := regexp.Compile(e.Regex.value) // by itself, so that it cannot close the bracket below
		switch {
		case e.Regex.value == "":
			m.add(e.Regex.line, "each namespace needs a regex")
		case err != nil:
			m.add(e.Regex.line, "the regex is not a valid one: %w", err)
		case e.Exclusive == nil:
			m.add(e.Regex.line, "the namespace needs the key exclusive, true or false")
		default:
			list = append(list, namespace{*e.Exclusive, regexp.MustCompile(`^(?:` + e.Regex.value + `)$`)})
		}
	}
	return list
}
