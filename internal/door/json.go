package door

import (
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Kind is how an event is written.
type Kind uint8

// The kinds (CS API, Room event format and Stripped state).
const (
	Client     Kind = iota // as most endpoints have it
	Sync                   // without room_id
	Federation             // as servers have it: to a client with event_id and unsigned
	Stripped               // type, state_key, sender and content alone
	Dated                  // Stripped, with origin_server_ts (CS API, GET /rooms/{roomId}/hierarchy)
)

// Format is how events are written, and with what.
type Format struct {
	Kind Kind
	// Fields are the event_fields of a filter; empty for all.
	Fields []string
	// Bundle: with bundled aggregations.
	Bundle bool
	// KeepIgnored: events of ignored users are in their redacted form, and not left
	// out (CS API, GET /threads).
	KeepIgnored bool

	quoted bool // inside another event: without what would quote others in it
}

// bare tells whether events are written without unsigned.
func (f *Format) bare() bool { return f.Kind == Stripped || f.Kind == Dated }

// Event is an event as one reader gets it. Only this package makes one: what has
// to write events to a wire takes these. The zero Event refuses to be written.
type Event struct {
	raw    []byte
	from   *storage.Event
	thread bool
}

var errEmpty = errors.New("door: nothing has come through it that could be written")

// MarshalJSONTo writes the event.
func (e Event) MarshalJSONTo(enc *jsontext.Encoder) error {
	if e.raw == nil {
		return errEmpty
	}
	return enc.WriteValue(e.raw)
}

// ID is the event's id.
func (e Event) ID() string { return e.from.ID() }

// Pos is the event's place in the timeline.
func (e Event) Pos() int64 { return e.from.Pos }

// Type is the event's type.
func (e Event) Type() string { return e.from.Type() }

// Sender is who sent the event.
func (e Event) Sender() matrix.UserID { return e.from.Sender() }

// Timestamp is when the event was made, as its origin has it.
func (e Event) Timestamp() matrix.Timestamp { return e.from.Timestamp() }

// StateKey is the state key, if the event is a state event.
func (e Event) StateKey() (string, bool) { return e.from.StateKey() }

// HasThread tells whether the event goes with the aggregation of a thread: others
// reply to it in one, and the reader gets the newest reply ([Format.Bundle]).
func (e Event) HasThread() bool { return e.thread }

// Content is the content of an event, or a stripped event of another server, as
// one reader gets it. Only this package makes one. The zero Content refuses to be
// written.
type Content struct{ raw []byte }

// MarshalJSONTo writes the content.
func (c Content) MarshalJSONTo(enc *jsontext.Encoder) error {
	if c.raw == nil {
		return errEmpty
	}
	return enc.WriteValue(c.raw)
}

// outgoing is an event on its way out.
type outgoing struct {
	e *storage.Event // whole, or in its redacted form
	// redacted: it is the redacted form, on disk or for this reader.
	redacted bool
	// What goes into unsigned; "" and nil for what does not.
	membership string // of the reader, after it
	txnID      string
	replaces   string // the id of the state event before it
	prev       *storage.Event
	because    []byte // the redaction
	relations  []byte
	thread     bool // one is in relations
}

// writer writes events for one answer into one piece of memory.
type writer struct {
	out    []byte
	format Format
	pdu    bool // for a server: the event and nothing else
	now    matrix.Timestamp
}

// put writes "key": after a comma.
func (w *writer) put(key string) { w.out = append(append(append(w.out, `,"`...), key...), `":`...) }

func (w *writer) text(s string) {
	// The error is about invalid UTF-8, which is in no event, and is written as U+FFFD.
	w.out, _ = jsontext.AppendQuote(w.out, s)
}

func (w *writer) field(key, text string) {
	w.put(key)
	w.text(text)
}

// event writes one event.
func (w *writer) event(o *outgoing) Event {
	from := len(w.out)
	switch {
	case w.format.Kind == Federation:
		w.federation(o)
	default:
		w.client(o)
	}
	raw := w.out[from:len(w.out):len(w.out)]
	if len(w.format.Fields) > 0 && !w.pdu {
		raw = project(raw, w.format.Fields)
	}
	return Event{raw, o.e, o.thread}
}

// client writes the formats for clients.
func (w *writer) client(o *outgoing) {
	e := o.e
	w.out = append(w.out, `{"content":`...)
	w.content(e)
	w.field("type", e.Type())
	w.field("sender", string(e.Sender()))
	if key, ok := e.StateKey(); ok {
		w.field("state_key", key)
	}
	if w.format.bare() {
		if w.format.Kind == Dated {
			w.timestamp(e)
		}
		w.out = append(w.out, '}')
		return
	}
	w.field("event_id", e.ID())
	w.timestamp(e)
	if w.format.Kind == Client {
		w.field("room_id", string(e.RoomID()))
	}
	// Rooms from version 11 on have it in the content alone; older clients look here
	// (rooms/v11, Moving the redacts property).
	if target := e.Redacts(); target != "" {
		w.field("redacts", target)
	}
	w.unsigned(o)
	w.out = append(w.out, '}')
}

func (w *writer) timestamp(e *storage.Event) {
	w.put("origin_server_ts")
	w.out = strconv.AppendInt(w.out, int64(e.Timestamp()), 10)
}

// content writes an event's content. That of a redaction names its target, also
// in rooms before version 11 (rooms/v11, Moving the redacts property).
func (w *writer) content(e *storage.Event) {
	content := e.Content()
	target := e.Redacts()
	if target == "" || e.Version().UpdatedRedaction || e.Says("redacts") {
		w.out = append(w.out, content...)
		return
	}
	w.out = append(w.out, `{"redacts":`...)
	w.text(target)
	if len(content) > len(`{}`) {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, content[1:]...)
}

// federation writes an event as it is, to a client with its id and unsigned.
func (w *writer) federation(o *outgoing) {
	raw := o.e.JSON()
	if w.pdu {
		w.out = append(w.out, raw...)
		return
	}
	w.out = append(w.out, raw[:len(raw)-1]...)
	if o.e.Version().EventIDs != event.IDsGiven {
		w.field("event_id", o.e.ID())
	}
	w.unsigned(o)
	w.out = append(w.out, '}')
}

func (w *writer) unsigned(o *outgoing) {
	w.put("unsigned")
	w.out = append(w.out, `{"age":`...)
	w.out = strconv.AppendInt(w.out, int64(w.now-o.e.Timestamp()), 10)
	if o.membership != "" {
		w.field("membership", o.membership)
	}
	if o.txnID != "" {
		w.field("transaction_id", o.txnID)
	}
	if o.replaces != "" {
		w.field("replaces_state", o.replaces)
	}
	if o.prev != nil {
		w.put("prev_content")
		w.out = append(w.out, o.prev.Content()...)
		w.field("prev_sender", string(o.prev.Sender()))
	}
	if o.because != nil {
		w.put("redacted_because")
		w.out = append(w.out, o.because...)
	}
	if o.relations != nil {
		w.put("m.relations")
		w.out = append(w.out, o.relations...)
	}
	w.out = append(w.out, '}')
}
