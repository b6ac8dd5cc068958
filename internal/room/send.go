package room

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Send sends an event that is not state (CS API, PUT
// /rooms/{roomId}/send/{eventType}/{txnId}) and returns its id: the same for the
// same transaction id from the same device, however often it is sent.
func (s *Service) Send(
	ctx context.Context, who Actor, room matrix.RoomID, typ string, content jsontext.Value, txnID string,
) (string, error) {
	if typ == typeRedaction {
		// Their permissions are another's: see Redact.
		return s.redactContent(ctx, who, room, content, txnID)
	}
	return s.once(ctx, who, room, "send/"+typ, txnID, func(w *writer) (*storage.Event, error) {
		if err := w.mayRelate(who, typ, content); err != nil {
			return nil, err
		}
		return w.add(who, draft{Type: typ, Content: content})
	})
}

// once runs fn, which adds an event, unless the transaction has been done before.
func (s *Service) once(
	ctx context.Context, who Actor, room matrix.RoomID, scope, txnID string, fn func(*writer) (*storage.Event, error),
) (id string, err error) {
	t := storage.Transaction{User: who.User, Device: who.Device, Scope: string(room) + "/" + scope, TxnID: txnID}
	err = s.change(ctx, who, room, func(w *writer) error {
		var err error
		if id, err = w.tx.Transacted(t); !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		e, err := fn(w)
		if err != nil {
			return err
		}
		id = e.ID()
		return w.tx.AddTransaction(t, id, s.now())
	})
	return id, hideRoom(err)
}

// hideRoom makes errNotIn of errNoRoom: who is not in a room is not told whether
// there is one.
func hideRoom(err error) error {
	if errors.Is(err, errNoRoom) {
		return errNotIn
	}
	return err
}

// SetState sets state of a room (CS API, PUT
// /rooms/{roomId}/state/{eventType}/{stateKey}) and returns the event's id. Where
// the state is the same already, it is that of the event that set it.
func (s *Service) SetState(
	ctx context.Context, who Actor, room matrix.RoomID, typ, key string, content jsontext.Value,
) (id string, err error) {
	err = s.change(ctx, who, room, func(w *writer) error {
		e, err := w.set(who, stateDraft(typ, key, content))
		if err == nil {
			id = e.ID()
		}
		return err
	})
	return id, hideRoom(err)
}

// set adds state, unless it is there already, word for word and from the same
// sender: so clients that repeat themselves do not fill the room.
func (w *writer) set(who Actor, d draft) (*storage.Event, error) {
	key := event.Key{Type: d.Type, StateKey: *d.StateKey}
	now, err := w.current(key)
	if err != nil {
		return nil, err
	}
	if old := now[key]; old != nil && old.Sender() == who.User {
		content, err := event.Canonical(d.Content)
		if err == nil && string(content) == string(old.Content()) {
			return old, nil
		}
	}
	return w.add(who, d)
}

// Redact takes the content of an event away (CS API, PUT
// /rooms/{roomId}/redact/{eventId}/{txnId}) and returns the redaction's id.
func (s *Service) Redact(
	ctx context.Context, who Actor, room matrix.RoomID, target, reason, txnID string,
) (string, error) {
	content := map[string]string{}
	if reason != "" {
		content["reason"] = reason
	}
	return s.redact(ctx, who, room, target, content, "redact/"+target, txnID)
}

// redactContent is Redact for those who send an m.room.redaction as any event:
// its content names the target.
func (s *Service) redactContent(
	ctx context.Context, who Actor, room matrix.RoomID, content jsontext.Value, txnID string,
) (string, error) {
	var fields map[string]jsontext.Value
	if err := json.Unmarshal(content, &fields); err != nil {
		return "", refusal(err)
	}
	var target string
	if err := json.Unmarshal(fields["redacts"], &target); err != nil || target == "" {
		return "", matrix.Errorf(matrix.CodeBadJSON, "The content of a redaction names the event that it redacts.")
	}
	delete(fields, "redacts")
	return s.redact(ctx, who, room, target, fields, "send/"+typeRedaction, txnID)
}

func (s *Service) redact(
	ctx context.Context, who Actor, room matrix.RoomID, target string, content any, scope, txnID string,
) (string, error) {
	return s.once(ctx, who, room, scope, txnID, func(w *writer) (*storage.Event, error) {
		old, err := w.tx.Event(target)
		if errors.Is(err, storage.ErrNotFound) || err == nil && old.RoomID() != room {
			return nil, matrix.Errorf(matrix.CodeNotFound, "There is no such event in this room.")
		}
		if err != nil {
			return nil, err
		}
		if err := w.mayRedact(who, old); err != nil {
			return nil, err
		}
		d, err := w.redaction(target, content)
		if err != nil {
			return nil, err
		}
		return w.add(who, d)
	})
}

// redaction is a draft of a redaction, in the form of the room's version: from
// version 11 on `redacts` stands in the content.
func (w *writer) redaction(target string, content any) (draft, error) {
	raw, err := json.Marshal(content)
	if err != nil || !w.version.UpdatedRedaction {
		return draft{Type: typeRedaction, Content: raw, Redacts: target}, err
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return draft{}, err
	}
	fields["redacts"] = target
	raw, err = json.Marshal(fields)
	return draft{Type: typeRedaction, Content: raw}, err
}

// mayRedact lets people redact what is theirs, and those with the power to all
// (CS API, Redactions: Client behaviour).
func (w *writer) mayRedact(who Actor, target *storage.Event) error {
	if target.Sender() == who.User {
		return nil
	}
	if who.Suspended {
		return matrix.Errorf(matrix.CodeUserSuspended, "While your account is suspended you may redact only your own events.")
	}
	levels, err := w.powerLevels()
	if err == nil && levels.User(who.User) < levels.Redact() {
		err = matrix.Errorf(matrix.CodeForbidden, "You may redact only your own events in this room.")
	}
	return err
}
