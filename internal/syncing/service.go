package syncing

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/door"
	"lethe/internal/filter"
	"lethe/internal/hub"
	"lethe/internal/matrix"
	"lethe/internal/push"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// Counts are how many events of a room its reader has not read and is told about.
type Counts = push.Counts

// Unread counts what somebody has not read.
type Unread interface {
	// Unread returns the counts of those of the rooms that have any, of events up to
	// a position. threads: those in threads apart.
	Unread(
		tx *storage.Tx, user matrix.UserID, rooms []matrix.RoomID, upTo int64, threads bool,
	) (map[matrix.RoomID]Counts, error)
}

// Receipts knows what has been read by whom.
type Receipts interface {
	// Receipts returns the contents of m.receipt events for those of the rooms that
	// have receipts set above a position and not above another: all that reader may
	// see of them.
	Receipts(
		tx *storage.Tx, reader matrix.UserID, rooms []matrix.RoomID, after, upTo int64,
	) (map[matrix.RoomID][]jsontext.Value, error)
}

// Typing knows who is typing.
type Typing interface {
	// Typing returns who is typing in those of the rooms where that has changed above
	// a position and not above another: of those whom reader does not ignore. after
	// is -1 for all rooms in which somebody is typing.
	Typing(
		tx *storage.Tx, reader matrix.UserID, rooms []matrix.RoomID, after, upTo int64,
	) (map[matrix.RoomID][]matrix.UserID, error)
}

// Presence knows who is there.
type Presence interface {
	// Presence returns the m.presence events of those who share a room with reader
	// that have changed above a position and not above another; after is -1 for all.
	Presence(tx *storage.Tx, reader matrix.UserID, after, upTo int64) ([]PresenceEvent, error)
	// Seen notes that a device of a user syncs, and as what: "online", "unavailable"
	// or "offline", which leaves things as they are. done is called with the answer.
	Seen(user matrix.UserID, device, presence string) (done func())
}

// PresenceEvent is an m.presence event.
type PresenceEvent struct {
	Type    string         `json:"type"`
	Sender  matrix.UserID  `json:"sender"`
	Content jsontext.Value `json:"content"`
}

// Devices knows what is for devices (CS API, Send-to-Device messaging and
// End-to-End Encryption).
type Devices interface {
	// Devices returns what a device has to hear: the messages for it that it has not
	// got, and of whom the devices have changed above a position and not above
	// another; after is -1 for a client that knows of nobody.
	Devices(tx *storage.Tx, user matrix.UserID, device string, after, upTo int64) (DeviceNews, error)
}

// DeviceNews is the part of an answer that is for a device.
type DeviceNews struct {
	Messages      []jsontext.Value // to-device events
	Changed, Left []matrix.UserID
	OneTimeKeys   map[string]int64 // those left, by algorithm
	FallbackKeys  []string         // algorithms of those not used
}

// Options are the settings of a [Service], and where what is not its own comes
// from; nil for what there is not.
type Options struct {
	Unread   Unread
	Receipts Receipts
	Typing   Typing
	Presence Presence
	Devices  Devices
}

const (
	// maxWait is how long a client may wait for something new, whatever it asks
	// for.
	maxWait = 5 * time.Minute
	// largeSyncs is how many answers with everything in them are made at once: each
	// takes memory for all rooms of its reader.
	largeSyncs = 4
)

// Service answers /sync. It is safe for concurrent use.
type Service struct {
	db    *storage.DB
	hub   *hub.Hub
	door  *door.Door
	trees *state.Trees
	opts  Options
	large chan struct{} // one element for each of largeSyncs under way
	sent  *sentMembers
}

// New makes the service.
func New(db *storage.DB, h *hub.Hub, d *door.Door, trees *state.Trees, opts Options) *Service {
	return &Service{
		db: db, hub: h, door: d, trees: trees, opts: opts,
		large: make(chan struct{}, largeSyncs), sent: newSentMembers(),
	}
}

// Request is a /sync.
type Request struct {
	User   matrix.UserID
	Device string // "" for an application service's user without one
	// Since is what [position.Parse] makes of since, -1 for none.
	Since int64
	// Timeout is how long to wait where nothing is new.
	Timeout     time.Duration
	FullState   bool
	StateAfter  bool   // use_state_after
	SetPresence string // "online", "unavailable" or "offline"
	Filter      *filter.Filter
	// Alive returns an error once the session has ended in which the request is
	// made.
	Alive func() error
}
