package deactivation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"lethe/internal/job"
	"lethe/internal/mail"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// grant makes an ending one that can be taken back for a while, and returns the
// secret that does it. The person is locked out all the same: only the password
// is kept, where no login looks.
func (s *Service) grant(d *storage.Deactivation, passwordHash string) (undo string) {
	undo = s.undoSecret(d.ID)
	hash := sha256.Sum256([]byte(undo))
	d.State, d.GraceUntil = storage.InGrace, d.CreatedAt.Add(s.opts.Grace)
	d.UndoHash, d.KeptPassword = hash[:], passwordHash
	return undo
}

// undoSecret is derived from the server's key, so that the job that mails the
// link needs no secret in its row.
func (s *Service) undoSecret(id string) string {
	mac := hmac.New(sha256.New, s.opts.Key.Private.Seed())
	mac.Write([]byte("lethe undo " + id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// enqueueGrace stores what happens when the grace period ends, and the message
// that tells how to take the ending back.
func (s *Service) enqueueGrace(tx *storage.Tx, d storage.Deactivation) error {
	err := job.Enqueue(tx, s.opts.Now(), job.New{
		Kind: kindFinalise, Subject: d.ID, Key: d.ID + "/finalise", Payload: struct{}{}, RunAt: d.GraceUntil.Time(),
	})
	if err != nil || s.opts.Mail == nil || !s.opts.Mail.Configured() {
		return err
	}
	threepids, err := tx.Threepids(d.UserID)
	if err != nil {
		return err
	}
	for _, t := range threepids {
		if t.Medium == matrix.MediumEmail {
			return s.enqueue(tx, d, kindNotify, d.ID+"/notify", notice{To: t.Address})
		}
	}
	return nil
}

// notice is the payload of a notify job.
type notice struct {
	To string `json:"to"`
}

// notify mails the link that takes an ending back.
func (s *Service) notify(ctx context.Context, run *job.Run) error {
	var n notice
	if err := run.Payload(&n); err != nil {
		return err
	}
	d, err := s.deactivation(ctx, run.Job().Subject)
	if err != nil {
		return err
	}
	if d.State == storage.InGrace && d.GraceUntil > s.now() {
		err := s.opts.Mail.Send(ctx, n.To, mail.KindEnded, mail.Data{
			User:  string(d.UserID),
			Link:  s.opts.BaseURL + "/_lethe/undo?secret=" + s.undoSecret(d.ID),
			Until: d.GraceUntil.Time().UTC().Format(time.RFC1123),
		})
		if err != nil {
			return unsent(err)
		}
	}
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		d, err := tx.LockDeactivation(d.ID)
		if err != nil {
			return err
		}
		return s.complete(tx, run, d)
	})
}

// unsent is what is kept of a failure to send mail. What the mail server says
// names the recipient more often than not, and a job's error is shown in the
// receipt: so only its reply code is kept (RFC 5321 §4.2).
func unsent(err error) error {
	var reply interface{ ErrorCode() int }
	if errors.As(err, &reply) && reply.ErrorCode() != 0 {
		return fmt.Errorf("the mail server answered %d", reply.ErrorCode())
	}
	return errors.New("the mail server could not be reached, or did not take the message")
}

// finalise makes an ending final when its grace period is over.
func (s *Service) finalise(ctx context.Context, run *job.Run) error {
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		d, err := tx.LockDeactivation(run.Job().Subject)
		if err != nil {
			return err
		}
		started, err := tx.StartDeactivation(d.ID)
		if err != nil {
			return err
		}
		if started {
			if d.KeptPassword != "" {
				if err := tx.AddCount(d.ID, passwordCategory, 1); err != nil {
					return err
				}
			}
			if err := s.enqueueSteps(tx, d); err != nil {
				return err
			}
			// A message that could not be sent by now has no purpose any more: its job
			// runs once again, and is done.
			if _, err := job.Retry(tx, s.opts.Now(), d.ID); err != nil {
				return err
			}
		}
		return run.Complete(tx)
	})
	s.jobs.Wake()
	return err
}

// Undo takes an ending back, for who has the secret of its link.
func (s *Service) Undo(ctx context.Context, secret string) error {
	hash := sha256.Sum256([]byte(secret))
	return s.undo(ctx, Self, func(tx *storage.Tx) (storage.Deactivation, error) { return tx.DeactivationByUndo(hash) })
}

// UndoByID takes an ending back, for an operator.
func (s *Service) UndoByID(ctx context.Context, id string, by Actor) error {
	return s.undo(ctx, by, func(tx *storage.Tx) (storage.Deactivation, error) { return tx.LockDeactivation(id) })
}

func (s *Service) undo(ctx context.Context, by Actor, find func(*storage.Tx) (storage.Deactivation, error)) error {
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		d, err := find(tx)
		if errors.Is(err, storage.ErrNotFound) {
			return matrix.Errorf(matrix.CodeNotFound, "This link was used already, or its time is over.")
		}
		if err != nil {
			return err
		}
		if d.State != storage.InGrace || d.GraceUntil <= s.now() {
			return matrix.Errorf(matrix.CodeForbidden, "This account can no longer be restored.")
		}
		if _, err := tx.MarkReactivated(d.UserID, d.KeptPassword); err != nil {
			return err
		}
		if err := tx.DropJobs(d.ID); err != nil {
			return err
		}
		return s.takeBack(tx, d, by, "account.undo")
	})
}

// takeBack marks an ending as undone.
func (s *Service) takeBack(tx *storage.Tx, d storage.Deactivation, by Actor, action string) error {
	if err := tx.UndoDeactivation(d.ID, s.now()); err != nil {
		return err
	}
	d.RequestedBy = string(by)
	if err := s.audit(tx, action, &d); err != nil || !d.Erase {
		return err
	}
	// What the person has sent is everybody's to read again, who could before.
	_, err := tx.NextPos(storage.Change{Kind: storage.ChangeErased, User: d.UserID})
	return err
}

// Reactivate makes an account usable again, with a new password, if nothing of
// it was erased (DESIGN §6). What the ending removed stays removed.
func (s *Service) Reactivate(ctx context.Context, user matrix.UserID, passwordHash string, by Actor) error {
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		a, err := tx.LockAccount(user)
		if errors.Is(err, storage.ErrNotFound) {
			return matrix.Errorf(matrix.CodeNotFound, "There is no user %s on this server.", user)
		}
		if err != nil {
			return err
		}
		if a.DeactivatedAt == 0 {
			return matrix.Errorf(matrix.CodeInvalidParam, "This account is not deactivated.")
		}
		d, err := current(tx, user)
		if err != nil {
			return err
		}
		if a.ErasedPos != 0 {
			return matrix.Errorf(matrix.CodeForbidden, "This account was erased. It cannot be restored.")
		}
		if d.State == storage.InGrace {
			return matrix.Errorf(matrix.CodeForbidden, "This account is in its grace period: undo its deactivation instead.").
				WithStatus(http.StatusConflict)
		}
		if err := settled(tx, d); err != nil {
			return err
		}
		if _, err := tx.MarkReactivated(user, passwordHash); err != nil {
			return err
		}
		return s.takeBack(tx, d, by, "account.reactivate")
	})
}

// current is the ending of an account that has ended: of several the one that was
// not taken back.
func current(tx *storage.Tx, user matrix.UserID) (storage.Deactivation, error) {
	endings, err := tx.Deactivations(user, "", "", maxEndings)
	if err != nil {
		return storage.Deactivation{}, err
	}
	for _, d := range endings {
		if d.State != storage.Undone {
			return d, nil
		}
	}
	return storage.Deactivation{}, errNoEnding
}

// settled refuses while an ending still removes what the account would get anew.
// Unbinding may go on: it may never end.
func settled(tx *storage.Tx, d storage.Deactivation) error {
	jobs, err := tx.JobsOf(d.ID)
	for _, j := range jobs {
		if !j.Done && j.Kind != kindUnbind {
			return matrix.Errorf(matrix.CodeForbidden,
				"The ending of this account is still under way. Wait until it is done, then reactivate the account.").
				WithStatus(http.StatusConflict)
		}
	}
	return err
}
