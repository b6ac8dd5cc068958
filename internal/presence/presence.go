package presence

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/syncing"
)

// Options are the settings of a [Service].
type Options struct {
	Now func() time.Time
	Log *slog.Logger
	// Ignored are those whom a user ignores.
	Ignored func(tx *storage.Tx, user matrix.UserID) (map[matrix.UserID]bool, error)
}

// Service knows who is there. What somebody is follows from what is in memory:
// what their clients have said, and when; each time that it is something else it
// is stored and told. It is safe for concurrent use.
type Service struct {
	db   *storage.DB
	opts Options

	mu    sync.Mutex
	users map[matrix.UserID]*user
	queue queue
	dirty map[*user]struct{} // to be stored
	mine  map[int64]struct{} // positions of this process's changes that are on their way
	wake  chan struct{}

	writing sync.Mutex // held while something is stored: in order
}

// New makes the service.
func New(db *storage.DB, opts Options) *Service {
	return &Service{
		db: db, opts: opts, users: map[matrix.UserID]*user{}, dirty: map[*user]struct{}{}, mine: map[int64]struct{}{},
		wake: make(chan struct{}, 1),
	}
}

// Seen notes that a client of somebody syncs, and what it says that they are:
// "offline" leaves things as they are (CS API, GET /sync, set_presence). The
// caller calls done when it has its answer.
func (s *Service) Seen(id matrix.UserID, deviceID, state string) (done func()) {
	if state == Offline {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	u := s.user(id)
	d := u.device(deviceID, now)
	if state == Online && d.state != Online {
		u.active = now // to become online is to do something
	}
	d.state = state
	d.syncing++
	s.look(u, now)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		now := s.opts.Now()
		d.syncing--
		d.seen = now
		if s.users[id] == u {
			s.look(u, now)
		}
	}
}

// Active notes that somebody does something, by a client: whoever has one that is
// there is online.
func (s *Service) Active(id matrix.UserID, deviceID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[id]
	if u == nil {
		return
	}
	now := s.opts.Now()
	u.active = now
	if d := u.devices[deviceID]; d != nil && d.state == Unavailable {
		d.state = Online
	}
	s.look(u, now)
}

// Set is what somebody says of themselves (CS API, PUT
// /presence/{userId}/status): it goes for all their clients, until those say
// something else.
func (s *Service) Set(ctx context.Context, id matrix.UserID, deviceID, state, status string) error {
	s.mu.Lock()
	now := s.opts.Now()
	u := s.user(id)
	u.device(deviceID, now)
	for _, d := range u.devices {
		d.state = state
	}
	u.active, u.tell = now, u.tell || !u.loaded || u.status != status
	u.status, u.loaded = status, true
	s.look(u, now)
	s.mu.Unlock()
	return s.store(ctx)
}

// Renamed notes that somebody's names have changed, which are told with their
// presence (CS API, Events on Change of Profile Information).
func (s *Service) Renamed(id matrix.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[id]; u != nil {
		u.tell = true
		s.look(u, s.opts.Now())
	}
}

// Ended forgets somebody whose account has ended.
func (s *Service) Ended(id matrix.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[id]; u != nil {
		s.forget(u)
	}
}

// user returns somebody. The caller holds the lock.
func (s *Service) user(id matrix.UserID) *user {
	u := s.users[id]
	if u == nil {
		u = newUser(id)
		s.users[id] = u
	}
	return u
}

func (s *Service) forget(u *user) {
	delete(s.users, u.id)
	delete(s.dirty, u)
	s.queue.drop(u)
}

// look sees what somebody is now, has it stored if that is something else than
// before, and has them looked at again when it may change. The caller holds the
// lock.
func (s *Service) look(u *user, now time.Time) {
	state, until := u.state(now)
	isFirst := s.queue.plan(u, until)
	if state != u.stored || u.tell || u.doubt {
		s.dirty[u] = struct{}{}
		isFirst = true
	} else if state == Offline && len(u.devices) == 0 {
		s.forget(u)
	}
	if isFirst {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Changed is told of every change, in order: what another process says of
// somebody whom this one sees, too, is looked at.
func (s *Service) Changed(changes []storage.Change) {
	for _, c := range changes {
		if c.Kind != storage.ChangePresence {
			continue
		}
		s.mu.Lock()
		_, isMine := s.mine[c.Pos]
		delete(s.mine, c.Pos)
		if u := s.users[c.User]; u != nil && !isMine {
			u.doubt = true
			s.look(u, s.opts.Now())
		}
		s.mu.Unlock()
	}
}

// retryAfter is how long to wait when something could not be stored.
const retryAfter = time.Second

// Run stores who comes and goes, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	if err := s.load(ctx); err != nil && ctx.Err() == nil {
		s.opts.Log.Error("read who was there", "error", err)
	}
	for {
		s.overdue()
		err := s.store(ctx)
		pause := s.overdue()
		if err != nil && ctx.Err() == nil {
			s.opts.Log.Error("store who is there", "error", err)
			pause = retryAfter
		}
		if !s.await(ctx, pause) {
			return
		}
	}
}

// await waits until there is something to do, or for a while (0: no matter how
// long), and returns false if ctx has ended.
func (s *Service) await(ctx context.Context, pause time.Duration) bool {
	var due <-chan time.Time
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-s.wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// load takes over those who were there when the last process stopped: their
// clients come back, or have gone. Where there are others they have them.
func (s *Service) load(ctx context.Context) error {
	if _, alone := s.db.Alone(); !alone {
		return nil
	}
	var rows []storage.Presence
	err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
		rows, err = tx.Present()
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	for _, row := range rows {
		u := s.user(row.User)
		if u.stored == "" && len(u.devices) == 0 {
			u.stored, u.status, u.loaded, u.active = row.State, row.Status, true, row.ActiveAt.Time()
			u.device("", now).state = row.State
		}
		s.look(u, now)
	}
	return err
}

// overdue looks at those whose time has come, and returns how long it is to the
// next; 0 if there is none.
func (s *Service) overdue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	for len(s.queue) > 0 {
		if first := s.queue[0]; first.at.After(now) {
			return first.at.Sub(now)
		}
		s.look(heap.Pop(&s.queue).(*user), now) //nolint:forcetypeassert // the queue has nothing else
	}
	return 0
}

// Presence returns the m.presence events for reader: of themselves, and of those
// in a room with them, as far as they do not ignore them.
func (s *Service) Presence(
	tx *storage.Tx, reader matrix.UserID, after, upTo int64,
) ([]syncing.PresenceEvent, error) {
	rows, err := tx.PresenceAfter(reader, after, upTo, after >= 0)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	ignored, err := s.opts.Ignored(tx, reader)
	if err != nil {
		return nil, err
	}
	var events []syncing.PresenceEvent
	for _, row := range rows {
		if ignored[row.User] {
			continue
		}
		content, err := json.Marshal(s.content(row))
		if err != nil {
			return nil, err
		}
		events = append(events, syncing.PresenceEvent{Type: "m.presence", Sender: row.User, Content: content})
	}
	return events, nil
}

// Content is what is told of somebody.
type Content struct {
	Presence string `json:"presence"`
	// LastActiveAgo is in milliseconds; nil where it is not known.
	LastActiveAgo *int64 `json:"last_active_ago,omitzero"`
	// CurrentlyActive goes with online: when that is over, it is told.
	CurrentlyActive *bool          `json:"currently_active,omitzero"`
	Status          string         `json:"status_msg,omitzero"`
	DisplayName     jsontext.Value `json:"displayname,omitzero"`
	AvatarURL       jsontext.Value `json:"avatar_url,omitzero"`
}

func (s *Service) content(row storage.Presence) Content {
	c := Content{Presence: row.State, Status: row.Status, DisplayName: row.DisplayName, AvatarURL: row.AvatarURL}
	active := row.ActiveAt
	s.mu.Lock()
	if u := s.users[row.User]; u != nil && !u.active.IsZero() {
		active = max(active, matrix.TimestampOf(u.active))
	}
	s.mu.Unlock()
	if active != 0 {
		c.LastActiveAgo = new(max(int64(matrix.TimestampOf(s.opts.Now())-active), 0))
	}
	if row.State == Online {
		c.CurrentlyActive = new(true)
	}
	return c
}

var errNotYours = matrix.Errorf(matrix.CodeForbidden, "You are in no room with them.")

// Of is the presence of somebody, for a reader who is in a room with them (CS API,
// GET /presence/{userId}/status).
func (s *Service) Of(ctx context.Context, reader, id matrix.UserID) (Content, error) {
	row := storage.Presence{User: id, State: Offline}
	err := s.db.View(ctx, func(tx *storage.Tx) error {
		if reader != id {
			shares, err := tx.ShareRoom(reader, id)
			if err != nil {
				return err
			}
			if !shares {
				return errNotYours
			}
		}
		stored, err := tx.Presence(id)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err == nil {
			row = stored
		}
		return err
	})
	return s.content(row), err
}
