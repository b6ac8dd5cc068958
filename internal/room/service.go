package room

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/identity"
	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// Options are the settings of a [Service].
type Options struct {
	ServerName matrix.ServerName
	Key        event.SigningKey // signs events
	Now        func() time.Time
	Log        *slog.Logger
	// DefaultVersion is the version of new rooms; "" for the specification's.
	DefaultVersion string
	Identity       *identity.Client
	Jobs           *job.Runner
	// MayAlias tells whether an application service, by its id, or somebody else, "",
	// may have an alias; nil: everybody may have all.
	MayAlias func(alias matrix.RoomAlias, appservice string) bool
	// NoticesUser is the localpart of the user who sends the server's notices.
	NoticesUser string
}

// Service changes rooms. It is safe for concurrent use.
type Service struct {
	db     *storage.DB
	trees  *state.Trees
	events Events
	opts   Options

	typists *typists
	renamed chan struct{} // has one element while there may be names to take into rooms
}

// Events reads events that are likely to be read again: the door's cache.
type Events interface {
	// Events returns those of the events that are there, by id.
	Events(tx *storage.Tx, ids []string) (map[string]*storage.Event, error)
	// ThreadOf tells in which thread an event is.
	ThreadOf(tx *storage.Tx, e *storage.Event) (door.Thread, error)
	// Ignored are those whom a user ignores.
	Ignored(tx *storage.Tx, user matrix.UserID) (map[matrix.UserID]bool, error)
	// Enter begins a visit, for what is served of a room.
	Enter(tx *storage.Tx, who door.Reader, room matrix.RoomID) (*door.Visit, error)
}

// New makes the service.
func New(db *storage.DB, trees *state.Trees, events Events, opts Options) *Service {
	if opts.DefaultVersion == "" {
		opts.DefaultVersion = event.DefaultVersion
	}
	s := &Service{
		db: db, trees: trees, events: events, opts: opts, typists: newTypists(), renamed: make(chan struct{}, 1),
	}
	opts.Jobs.Handle(kindGuests, s.removeGuests)
	return s
}

// Run does what goes on in rooms by itself, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { s.runTyping(ctx) })
	both.Go(func() { s.runNames(ctx) })
	both.Wait()
}

func (s *Service) now() matrix.Timestamp { return matrix.TimestampOf(s.opts.Now()) }

func (s *Service) local(user matrix.UserID) bool { return user.Server() == s.opts.ServerName }

// Actor is who does something in a room: a user of this server.
type Actor struct {
	User   matrix.UserID
	Device string // "" for none
	Guest  bool
	// Suspended may do only what is about what is theirs (CS API, Account
	// suspension); what else, the API refuses.
	Suspended bool
	// Appservice is the id of the application service that acts, "" for none.
	Appservice string
	// Timestamp is the time that an application service gives an event; 0 for now
	// (Application Service API, Timestamp massaging).
	Timestamp matrix.Timestamp
	// Ending lets the work of an ending act for a user whose account has ended.
	Ending bool
}

var (
	errDeactivated = matrix.Errorf(matrix.CodeUserDeactivated, "This account has been deactivated.")
	errLocked      = &matrix.Error{Code: matrix.CodeUserLocked, Message: "This account has been locked.", SoftLogout: true}
	errNoRoom      = matrix.Errorf(matrix.CodeNotFound, "There is no such room.")
	// errNotIn is what those hear who are not in the room; whether it exists is not
	// theirs to know.
	errNotIn = matrix.Errorf(matrix.CodeForbidden, "You are not in this room.")
)

// live refuses an actor whose account has ended or is locked. It is asked in the
// transaction of what they do, so that nothing of theirs comes after the answer
// of an ending (DESIGN §2, promise 1).
func (s *Service) live(tx *storage.Tx, who Actor) error {
	if who.Ending {
		return nil
	}
	a, err := tx.LiveAccount(who.User)
	return liveness(who.User, a, err)
}

// liveness refuses a user by their account, as it was read.
func liveness(user matrix.UserID, a storage.Account, err error) error {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return matrix.Errorf(matrix.CodeForbidden, "There is no user %s on this server.", user)
	case err != nil:
		return err
	case a.DeactivatedAt != 0:
		return errDeactivated
	case a.LockedAt != 0:
		return errLocked
	}
	return nil
}

// change runs fn on a room, with its row locked, and stores what fn has added to
// it. fn may run more than once.
func (s *Service) change(ctx context.Context, who Actor, room matrix.RoomID, fn func(*writer) error) error {
	var w *writer
	err := s.db.Update(ctx, func(tx *storage.Tx) (err error) {
		if err := s.live(tx, who); err != nil {
			return err
		}
		if w, err = s.open(tx, room); err != nil {
			return err
		}
		if err := fn(w); err != nil {
			return err
		}
		return w.close()
	})
	if err == nil && w.enqueued {
		s.opts.Jobs.Wake()
	}
	return err
}
