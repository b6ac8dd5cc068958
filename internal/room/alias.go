package room

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

var (
	errNoAlias    = matrix.Errorf(matrix.CodeNotFound, "There is no room with this alias.")
	errAliasTaken = matrix.Errorf(matrix.CodeUnknown, "This alias is taken already.").WithStatus(http.StatusConflict)
	errExclusive  = matrix.Errorf(matrix.CodeExclusive, "This alias is not in the namespaces of who asks for it.")
)

// parseAlias is M_INVALID_PARAM for what is no alias.
func parseAlias(name string) (matrix.RoomAlias, error) {
	alias, err := matrix.ParseRoomAlias(name)
	if err != nil {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "This is not a valid alias: %v.", err)
	}
	return alias, nil
}

// ownAlias is parseAlias for those of this server, which are all that it keeps.
func (s *Service) ownAlias(name string) (matrix.RoomAlias, error) {
	alias, err := parseAlias(name)
	if err == nil && alias.Server() != s.opts.ServerName {
		err = matrix.Errorf(matrix.CodeInvalidParam, "This server has no aliases but those that end in :%s.", s.opts.ServerName)
	}
	return alias, err
}

// Resolved is what an alias stands for.
type Resolved struct {
	Room    matrix.RoomID
	Servers []matrix.ServerName // through which the room can be joined
}

// Alias is what an alias stands for (CS API, GET /directory/room/{roomAlias}), or
// M_NOT_FOUND.
func (s *Service) Alias(ctx context.Context, name string) (r Resolved, err error) {
	alias, err := parseAlias(name)
	if err != nil {
		return r, err
	}
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		r.Room, err = tx.Alias(alias)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return r, errNoAlias
	}
	r.Servers = []matrix.ServerName{s.opts.ServerName}
	return r, err
}

// SetAlias gives a room an alias (CS API, PUT /directory/room/{roomAlias}).
// Whoever does it is in the room, but for application services, which have the
// aliases in their namespaces.
func (s *Service) SetAlias(ctx context.Context, who Actor, name string, room matrix.RoomID) error {
	alias, err := s.ownAlias(name)
	if err != nil {
		return err
	}
	return hideRoom(s.change(ctx, who, room, func(w *writer) error {
		if who.Appservice == "" {
			if err := w.mustBeIn(who); err != nil {
				return err
			}
		}
		return w.addAlias(who, alias)
	}))
}

// mayAlias is M_EXCLUSIVE for aliases that are another's (Application Service API,
// Server admin style permissions).
func (s *Service) mayAlias(who Actor, alias matrix.RoomAlias) error {
	if s.opts.MayAlias != nil && !s.opts.MayAlias(alias, who.Appservice) {
		return errExclusive
	}
	return nil
}

func (w *writer) addAlias(who Actor, alias matrix.RoomAlias) error {
	if err := w.s.mayAlias(who, alias); err != nil {
		return err
	}
	err := w.tx.AddAlias(alias, w.room.ID, who.User, w.s.now())
	if errors.Is(err, storage.ErrExists) {
		return errAliasTaken
	}
	return err
}

// claimAlias gives a new room an alias, and is a draft of the state that says so
// (CS API, POST /createRoom, room_alias_name).
func (w *writer) claimAlias(who Actor, localpart string) (draft, error) {
	alias, err := w.s.ownAlias("#" + localpart + ":" + string(w.s.opts.ServerName))
	if err != nil {
		return draft{}, err
	}
	if err := w.addAlias(who, alias); err != nil {
		if errors.Is(err, errAliasTaken) {
			err = matrix.Errorf(matrix.CodeRoomInUse, "The alias %s is taken already.", alias)
		}
		return draft{}, err
	}
	content, err := json.Marshal(map[string]matrix.RoomAlias{"alias": alias})
	return stateDraft(typeCanonicalAlias, "", content), err
}

// DeleteAlias takes an alias away (CS API, DELETE /directory/room/{roomAlias}):
// those may who have made it, who may say which is the room's, and administrators
// of the server. Where the room says that it has the alias, that is taken back, if
// they may.
func (s *Service) DeleteAlias(ctx context.Context, who Actor, name string) error {
	alias, err := parseAlias(name)
	if err != nil {
		return err
	}
	r, err := s.Alias(ctx, name)
	if err != nil {
		return err
	}
	return s.change(ctx, who, r.Room, func(w *writer) error {
		now, err := w.tx.Alias(alias)
		if errors.Is(err, storage.ErrNotFound) || err == nil && now != r.Room {
			return errNoAlias
		}
		if err != nil {
			return err
		}
		if err := w.mayDeleteAlias(who, alias); err != nil {
			return err
		}
		if err := w.tx.DeleteAlias(alias); err != nil {
			return err
		}
		return w.dropAliases(who, []matrix.RoomAlias{alias})
	})
}

func (w *writer) mayDeleteAlias(who Actor, alias matrix.RoomAlias) error {
	if err := w.s.mayAlias(who, alias); err != nil || who.Appservice != "" {
		return err
	}
	made, err := w.tx.MadeAlias(who.User, alias)
	if err != nil || made {
		return err
	}
	may, err := w.governs(who)
	if err == nil && !may {
		err = matrix.Errorf(matrix.CodeForbidden,
			"Only who has made this alias may delete it, or who may say which alias is the room's.")
	}
	return err
}

// governs tells whether somebody may decide how the room is found: those who are
// in it and may say which alias is its, and administrators of the server.
func (w *writer) governs(who Actor) (bool, error) {
	now, err := w.membership(who.User)
	if err != nil {
		return false, err
	}
	levels, err := w.powerLevels()
	if err != nil {
		return false, err
	}
	if now == join && levels.User(who.User) >= levels.EventLevel(typeCanonicalAlias, true) {
		return true, nil
	}
	a, err := w.tx.Account(who.User)
	return a.Admin, err
}

// Aliases are the aliases of a room (CS API, GET /rooms/{roomId}/aliases), for
// those who are in it, and for everybody while it is world_readable.
func (s *Service) Aliases(ctx context.Context, who Actor, room matrix.RoomID) (aliases []matrix.RoomAlias, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		w, err := s.look(tx, room)
		if err != nil {
			return err
		}
		key := event.Key{Type: typeHistoryVisibility}
		now, err := w.current(key)
		if err != nil {
			return err
		}
		if event.HistoryVisibility(pdu(now[key])) != worldReadable {
			if err := w.mustBeIn(who); err != nil {
				return err
			}
		}
		aliases, err = tx.AliasesOf(room)
		return err
	})
	if aliases == nil {
		aliases = []matrix.RoomAlias{}
	}
	return aliases, hideRoom(err)
}

// look opens a room for reading.
func (s *Service) look(tx *storage.Tx, id matrix.RoomID) (*writer, error) {
	r, err := tx.Room(id)
	if errors.Is(err, storage.ErrNotFound) {
		err = errNoRoom
	}
	if err != nil {
		return nil, err
	}
	return &writer{s: s, tx: tx, version: r.VersionOf(), room: r}, nil
}

// canonical is the content of m.room.canonical_alias.
type canonical struct {
	fields map[string]jsontext.Value
	alias  string
	alt    []string
}

// readCanonical is M_INVALID_PARAM for what is not of the form.
func readCanonical(content jsontext.Value) (c canonical, err error) {
	if err := json.Unmarshal(content, &c.fields); err != nil {
		return c, refusal(err)
	}
	if raw := c.fields["alias"]; raw != nil {
		err = json.Unmarshal(raw, &c.alias) // null is none
	}
	if raw := c.fields["alt_aliases"]; raw != nil && err == nil {
		err = json.Unmarshal(raw, &c.alt)
	}
	if err != nil {
		err = matrix.Errorf(matrix.CodeInvalidParam, "alias is an alias, and alt_aliases a list of them.")
	}
	return c, err
}

// names are all aliases that the content has.
func (c *canonical) names() []string {
	if c.alias == "" {
		return c.alt
	}
	return append([]string{c.alias}, c.alt...)
}

// canonicalNow is what the room says of its aliases; zero for nothing.
func (w *writer) canonicalNow() (c canonical, err error) {
	key := event.Key{Type: typeCanonicalAlias}
	now, err := w.current(key)
	if err != nil || now[key] == nil {
		return c, err
	}
	c, err = readCanonical(now[key].Content())
	if err != nil {
		return canonical{}, nil //nolint:nilerr // what cannot be read says nothing
	}
	return c, nil
}

// checkCanonical holds the aliases that a room is about to name to what they stand
// for, but those that it names already (CS API, PUT
// /rooms/{roomId}/state/{eventType}/{stateKey}). Those of other servers are nobody's
// to check here, and so not good enough.
func (w *writer) checkCanonical(content jsontext.Value) error {
	c, err := readCanonical(content)
	if err != nil {
		return err
	}
	before, err := w.canonicalNow()
	if err != nil {
		return err
	}
	var fresh []matrix.RoomAlias
	for _, name := range c.names() {
		if slices.Contains(before.names(), name) {
			continue
		}
		alias, err := parseAlias(name)
		if err != nil {
			return err
		}
		fresh = append(fresh, alias)
	}
	good, err := w.tx.AliasesAmong(w.room.ID, fresh)
	if err != nil {
		return err
	}
	for _, alias := range fresh {
		if !slices.Contains(good, alias) {
			return matrix.Errorf(matrix.CodeBadAlias, "The alias %s does not stand for this room.", alias)
		}
	}
	return nil
}

// dropAliases takes aliases out of what the room says of its own, if who may.
func (w *writer) dropAliases(who Actor, aliases []matrix.RoomAlias) error {
	c, err := w.canonicalNow()
	if err != nil {
		return err
	}
	gone := func(name string) bool { return slices.Contains(aliases, matrix.RoomAlias(name)) }
	if !slices.ContainsFunc(c.names(), gone) {
		return nil
	}
	if gone(c.alias) {
		delete(c.fields, "alias")
	}
	if alt := slices.DeleteFunc(c.alt, gone); len(alt) == 0 {
		delete(c.fields, "alt_aliases")
	} else if c.fields["alt_aliases"], err = json.Marshal(alt); err != nil {
		return err
	}
	content, err := json.Marshal(c.fields)
	if err != nil {
		return err
	}
	_, err = w.add(who, stateDraft(typeCanonicalAlias, "", content))
	if matrix.CodeOf(err) == matrix.CodeForbidden {
		return nil // the alias goes all the same (CS API, DELETE /directory/room/{roomAlias})
	}
	return err
}
