package deactivation

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"lethe/internal/event"
	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// receiptType names the format of receipts; docs/deactivation.md describes it.
const receiptType = "org.lethe.deactivation.receipt.v1"

// Step is a part of an ending, as operators and receipts see it.
type Step struct {
	Name     string           `json:"name"`
	Target   string           `json:"target,omitzero"` // the identity server
	State    string           `json:"state"`           // pending or done
	Attempts int64            `json:"attempts"`
	Error    string           `json:"last_error,omitzero"`
	NextTry  matrix.Timestamp `json:"next_try,omitzero"`
	DoneAt   matrix.Timestamp `json:"done_at,omitzero"`
}

// Receipt says what is gone, what stays and why, and what is still to do. Times
// are in milliseconds since the epoch.
type Receipt struct {
	Type        string                    `json:"type"`
	ID          string                    `json:"id"`
	Server      matrix.ServerName         `json:"server"`
	UserID      matrix.UserID             `json:"user_id"`
	Erase       bool                      `json:"erase"`
	RequestedBy string                    `json:"requested_by"`
	State       storage.DeactivationState `json:"state"`
	Complete    bool                      `json:"complete"`
	EndedAt     matrix.Timestamp          `json:"ended_at"`
	FinishedAt  matrix.Timestamp          `json:"finished_at,omitzero"`
	UndoUntil   matrix.Timestamp          `json:"undo_until,omitzero"`
	IssuedAt    matrix.Timestamp          `json:"issued_at"`
	Gone        map[string]int64          `json:"gone"`
	Stays       []Staying                 `json:"stays"`
	// Kept is what was still on disk of an erased person's messages when the receipt
	// was issued, for those who could read it before; nil if nothing.
	Kept  *Kept  `json:"kept,omitzero"`
	Steps []Step `json:"steps"`
}

// Kept is how many messages, in how many rooms.
type Kept struct {
	Messages int64 `json:"messages"`
	Rooms    int64 `json:"rooms"`
}

// Receipt returns the signed receipt of an ending: the final one once
// everything is done, before that one that tells how far it is.
func (s *Service) Receipt(ctx context.Context, id string) ([]byte, error) {
	d, err := s.deactivation(ctx, id)
	if err != nil {
		return nil, err
	}
	if d.State == storage.Done {
		return d.Receipt, nil
	}
	var signed []byte
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		signed, err = s.receipt(tx, d)
		return err
	})
	return signed, err
}

// receipt makes the receipt of an ending as it is in tx.
func (s *Service) receipt(tx *storage.Tx, d storage.Deactivation) ([]byte, error) {
	counts, err := tx.Counts(d.ID)
	if err != nil {
		return nil, err
	}
	steps, err := stepsOf(tx, d)
	if err != nil {
		return nil, err
	}
	var kept *Kept
	if messages, rooms, err := tx.Kept(d.UserID); err != nil {
		return nil, err
	} else if messages > 0 {
		kept = &Kept{messages, rooms}
	}
	raw, err := json.Marshal(Receipt{
		Type: receiptType, ID: d.ID, Server: s.opts.ServerName, UserID: d.UserID, Erase: d.Erase,
		RequestedBy: d.RequestedBy, State: d.State, Complete: d.State == storage.Done,
		EndedAt: d.CreatedAt, FinishedAt: d.FinishedAt, UndoUntil: d.GraceUntil, IssuedAt: s.now(),
		Gone: counts, Stays: staying(d.Erase), Kept: kept, Steps: steps,
	})
	if err != nil {
		return nil, err
	}
	return event.SignJSON(raw, string(s.opts.ServerName), s.opts.Key)
}

func stepsOf(tx *storage.Tx, d storage.Deactivation) ([]Step, error) {
	jobs, err := tx.JobsOf(d.ID)
	steps := make([]Step, 0, len(jobs))
	for _, j := range jobs {
		step := Step{
			Name: strings.TrimPrefix(j.Kind, kindPrefix), Target: stepTarget(j), State: "pending",
			Attempts: j.Attempts, Error: j.LastError, NextTry: j.RunAt,
		}
		if j.Done {
			step.State, step.NextTry, step.DoneAt = "done", 0, j.DoneAt
		}
		steps = append(steps, step)
	}
	return steps, err
}

// VerifyReceipt checks that receipt was signed by the server it names, with the
// public key of that id, and returns what it says.
func VerifyReceipt(receipt []byte, keyID string, key ed25519.PublicKey) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(receipt, &r); err != nil {
		return r, fmt.Errorf("this is not a receipt: %w", err)
	}
	if r.Type != receiptType {
		return r, fmt.Errorf("this is not a receipt of the type %s", receiptType)
	}
	if r.UserID.Server() != r.Server {
		return r, fmt.Errorf("%s cannot say that %s has ended: it is a user of another server", r.Server, r.UserID)
	}
	return r, event.VerifyJSON(receipt, string(r.Server), keyID, key)
}

// Ending is an ending as operators see it.
type Ending struct {
	ID          string                    `json:"id"`
	UserID      matrix.UserID             `json:"user_id"`
	Erase       bool                      `json:"erase"`
	RequestedBy string                    `json:"requested_by"`
	State       storage.DeactivationState `json:"state"`
	CreatedAt   matrix.Timestamp          `json:"created_at"`
	GraceUntil  matrix.Timestamp          `json:"grace_until,omitzero"`
	FinishedAt  matrix.Timestamp          `json:"finished_at,omitzero"`
	Steps       []Step                    `json:"steps"`
}

// Filter narrows [Service.List].
type Filter struct {
	User  matrix.UserID             // "": anybody
	State storage.DeactivationState // "": any
	After string                    // the page after this ending
	Limit int
}

// List lists endings with their steps, latest first.
func (s *Service) List(ctx context.Context, f Filter) (list []Ending, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		list = []Ending{}
		rows, err := tx.Deactivations(f.User, f.State, f.After, f.Limit)
		if err != nil {
			return err
		}
		for _, d := range rows {
			ending, err := endingOf(tx, d)
			if err != nil {
				return err
			}
			list = append(list, ending)
		}
		return nil
	})
	return list, err
}

// Show returns one ending, or M_NOT_FOUND.
func (s *Service) Show(ctx context.Context, id string) (Ending, error) {
	d, err := s.deactivation(ctx, id)
	if err != nil {
		return Ending{}, err
	}
	var ending Ending
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		ending, err = endingOf(tx, d)
		return err
	})
	return ending, err
}

func endingOf(tx *storage.Tx, d storage.Deactivation) (Ending, error) {
	steps, err := stepsOf(tx, d)
	return Ending{
		ID: d.ID, UserID: d.UserID, Erase: d.Erase, RequestedBy: d.RequestedBy, State: d.State,
		CreatedAt: d.CreatedAt, GraceUntil: d.GraceUntil, FinishedAt: d.FinishedAt, Steps: steps,
	}, err
}

// Retry makes all pending steps of an ending due at once, and returns how many
// there are. The end of a grace period is not one of them.
func (s *Service) Retry(ctx context.Context, id string) (int64, error) {
	d, err := s.deactivation(ctx, id)
	if err != nil {
		return 0, err
	}
	if d.State == storage.InGrace {
		return 0, matrix.Errorf(matrix.CodeInvalidParam,
			"This ending can still be taken back; it goes on at the end of its grace period.")
	}
	var n int64
	err = s.db.Update(ctx, func(tx *storage.Tx) (err error) {
		n, err = job.Retry(tx, s.opts.Now(), id)
		return err
	})
	s.jobs.Wake()
	return n, err
}
