package room

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// ownList is the network of the server's own list of rooms.
const ownList = ""

// publish puts the room into the server's list, or takes it out.
func (w *writer) publish(public bool) error { return w.list(ownList, public) }

// list puts the room into the list of a network, or takes it out.
func (w *writer) list(network string, public bool) error {
	if public {
		if err := w.tx.AddToList(network, w.room.ID); err != nil {
			return err
		}
		return w.describe()
	}
	if err := w.tx.RemoveFromList(network, w.room.ID); err != nil {
		return err
	}
	lists, err := w.tx.ListsOf(w.room.ID)
	if err == nil && len(lists) == 0 {
		err = w.tx.DeletePublicRoom(w.room.ID)
	}
	return err
}

// describe stores what the directory shows of the room, and what is searched of
// it. It reads events as this transaction has left them, redacted ones included.
func (w *writer) describe() error {
	ids, err := w.s.trees.GetMany(w.tx, w.room.ID, state.Root(w.room.State), summarised)
	if err != nil {
		return err
	}
	list := make([]string, 0, len(ids))
	for _, id := range ids {
		list = append(list, id)
	}
	events, err := w.tx.Events(list)
	if err != nil {
		return err
	}
	now := make(map[event.Key]*storage.Event, len(ids))
	for key, id := range ids {
		now[key] = events[id]
	}
	l := w.listing(now)
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return w.tx.SetPublicRoom(storage.PublicRoom{
		Room: w.room.ID, Type: l.Type, Summary: raw,
		Text: storage.Folded(strings.Join([]string{l.Name, l.Topic, string(l.CanonicalAlias)}, "\n")),
	})
}

// redescribe keeps the directory up with an event that changes what it shows.
func (w *writer) redescribe(e *storage.Event) error {
	key, isState := e.Key()
	if e.Type() != typeRedaction && (!isState || !slices.Contains(summarised, key)) {
		return nil
	}
	in, err := w.tx.InDirectory(w.room.ID)
	if err != nil || !in {
		return err
	}
	return w.describe()
}

// Published tells whether a room is in the server's list (CS API, GET
// /directory/list/room/{roomId}).
func (s *Service) Published(ctx context.Context, room matrix.RoomID) (public bool, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		if _, err := s.look(tx, room); err != nil {
			return err
		}
		lists, err := tx.ListsOf(room)
		public = slices.Contains(lists, ownList)
		return err
	})
	return public, err
}

// Publish puts a room into the server's list or takes it out (CS API, PUT
// /directory/list/room/{roomId}).
func (s *Service) Publish(ctx context.Context, who Actor, room matrix.RoomID, public bool) error {
	return s.change(ctx, who, room, func(w *writer) error {
		may, err := w.governs(who)
		if err != nil {
			return err
		}
		if !may {
			return matrix.Errorf(matrix.CodeForbidden,
				"Whether this room is in the directory is for those to say who may say which alias is its.")
		}
		return w.publish(public)
	})
}

// network is how a list of an application service is called: that is the
// `instance_id` of the network among its protocols.
func network(appservice, id string) string { return appservice + "|" + id }

// PublishFor puts a room into the list of an application service's network or
// takes it out (Application Service API, PUT
// /directory/list/appservice/{networkId}/{roomId}).
func (s *Service) PublishFor(ctx context.Context, who Actor, id string, room matrix.RoomID, public bool) error {
	if who.Appservice == "" {
		return matrix.Errorf(matrix.CodeForbidden, "Only an application service may do this.")
	}
	return s.change(ctx, who, room, func(w *writer) error { return w.list(network(who.Appservice, id), public) })
}

const (
	// defaultPublic is how many rooms of the directory are on a page if nobody says,
	// maxPublic how many at most.
	defaultPublic = 100
	maxPublic     = 500
)

// PublicQuery says which rooms of the directory are wanted (CS API, POST
// /publicRooms).
type PublicQuery struct {
	Server      matrix.ServerName // "" for this one
	Limit       int               // 0 for as many as the server likes
	Since       string
	Text        string
	Types       []string // nil for all; "" for rooms without a type
	AllNetworks bool
	Network     string // a third_party_instance_id
}

// PublicPage is a page of the directory.
type PublicPage struct {
	Rooms []Listing `json:"chunk"`
	Next  string    `json:"next_batch,omitzero"`
	Prev  string    `json:"prev_batch,omitzero"`
	Total int64     `json:"total_room_count_estimate"`
}

// since is what the tokens of pages say: where the page begins, and whether it goes
// backwards from there.
type since struct {
	Back   bool          `json:"b,omitzero"`
	Joined int64         `json:"j"`
	Room   matrix.RoomID `json:"r"`
}

func (t since) String() string {
	raw, _ := json.Marshal(t) // it is made of texts and numbers
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parseSince(token string) (t since, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err != nil || t.Room == "" {
		return t, matrix.Errorf(matrix.CodeInvalidParam, "since is no token of this directory.")
	}
	return t, nil
}

// Public is a page of the directory. Rooms with more members are first; those that
// nobody is in are not there.
func (s *Service) Public(ctx context.Context, q PublicQuery) (p PublicPage, err error) {
	if q.Server != "" && q.Server != s.opts.ServerName {
		return p, matrix.Errorf(matrix.CodeUnknown, "The directory of %s cannot be reached from here.", q.Server).
			WithStatus(http.StatusBadGateway)
	}
	if q.Limit == 0 {
		q.Limit = defaultPublic
	}
	limit := min(q.Limit, maxPublic)
	find := storage.PublicQuery{
		Network: q.Network, AllNetworks: q.AllNetworks, Text: storage.Folded(q.Text), Types: q.Types, Limit: limit + 1,
	}
	if q.Since != "" {
		from, err := parseSince(q.Since)
		if err != nil {
			return p, err
		}
		find.Joined, find.Room, find.Back = from.Joined, from.Room, from.Back
	}
	var rows []storage.PublicRoom
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		if rows, err = tx.PublicRooms(find); err == nil {
			p.Total, err = tx.CountPublicRooms(find)
		}
		return err
	})
	if err != nil {
		return p, err
	}
	more := len(rows) > limit
	rows = rows[:min(len(rows), limit)]
	if find.Back {
		slices.Reverse(rows)
	}
	return p.fill(rows, find.Back || more, find.Room != "" && (!find.Back || more))
}

// fill makes a page of rows, with tokens for what is after and before it.
func (p PublicPage) fill(rows []storage.PublicRoom, after, before bool) (PublicPage, error) {
	p.Rooms = make([]Listing, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.Summary, &p.Rooms[i]); err != nil {
			return p, err
		}
		p.Rooms[i].Joined = row.Joined
	}
	if len(rows) == 0 {
		return p, nil
	}
	first, last := rows[0], rows[len(rows)-1]
	if after {
		p.Next = since{Joined: last.Joined, Room: last.Room}.String()
	}
	if before {
		p.Prev = since{Back: true, Joined: first.Joined, Room: first.Room}.String()
	}
	return p, nil
}
