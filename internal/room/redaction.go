package room

import (
	"errors"

	"lethe/internal/event"
	"lethe/internal/storage"
)

// redactions does what follows from redactions now that e has come: those of e
// that came before it, and e itself, if it is one (rooms/v3, Handling redactions:
// a redaction waits for its event, and an event may find redactions waiting).
func (w *writer) redactions(e *storage.Event) error {
	if !w.s.local(e.Sender()) { // nobody knows the ids of our own before they are there
		if err := w.redactedBefore(e); err != nil {
			return err
		}
	}
	if e.Type() != typeRedaction || e.Redacts() == "" {
		return nil
	}
	target, err := w.tx.Event(e.Redacts())
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return w.tx.AddWaitingRedaction(w.room.ID, e.Redacts(), e.ID())
	case err != nil || target.RoomID() != w.room.ID:
		return err
	}
	_, err = w.applyRedaction(e, target)
	return err
}

// redactedBefore applies the redactions that have waited for e.
func (w *writer) redactedBefore(e *storage.Event) error {
	ids, err := w.tx.TakeWaitingRedactions(w.room.ID, e.ID())
	if err != nil {
		return err
	}
	for _, id := range ids {
		by, err := w.tx.Event(id)
		if err != nil {
			return err
		}
		if done, err := w.applyRedaction(by, e); err != nil || done {
			return err
		}
	}
	return nil
}

// applyRedaction makes target its redacted form on disk, if by may redact it, and
// tells whether it did.
func (w *writer) applyRedaction(by, target *storage.Event) (bool, error) {
	if target.RedactedBy != "" {
		return false, nil
	}
	if ok, err := w.redacts(by, target); err != nil || !ok {
		return false, err
	}
	redacted, err := target.Redacted()
	if err != nil {
		return false, err
	}
	if err := w.tx.ReplaceEvent(target, redacted, by.ID()); err != nil {
		return false, err
	}
	_, err = w.tx.NextPos(storage.Change{Kind: storage.ChangeRedacted, Room: w.room.ID, User: by.Sender()})
	return true, err
}

// redacts tells whether a redaction applies: in room versions 1 and 2 the auth
// rules have said so; later its sender has the power, by the state before it, or
// is of the server of the event's sender.
func (w *writer) redacts(by, target *storage.Event) (bool, error) {
	if w.version.RedactionRule || by.Sender().Server() == target.Sender().Server() {
		return true, nil
	}
	create, levels := event.Key{Type: typeCreate}, event.Key{Type: typePowerLevels}
	then, err := w.stateAt(by.State, create, levels)
	if err != nil {
		return false, err
	}
	power := event.NewPowerLevels(pdu(then[create]), pdu(then[levels]))
	return power.User(by.Sender()) >= power.Redact(), nil
}
