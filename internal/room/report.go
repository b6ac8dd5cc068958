package room

import (
	"context"
	"errors"

	"lethe/internal/door"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// maxReason is the longest reason of a report, in bytes.
const maxReason = 10_000

var (
	errNoReportedEvent = matrix.Errorf(matrix.CodeNotFound, "There is no such event, or you are not in its room.")
	errNoReportedRoom  = matrix.Errorf(matrix.CodeNotFound, "There is no such room.")
	errNoReportedUser  = matrix.Errorf(matrix.CodeNotFound, "There is no such user.")
)

// Report tells the operators about a room, an event of one, or a user (CS API,
// Reporting Content). An event only somebody can report who is in its room, and
// sees it; a room and a user everybody.
func (s *Service) Report(ctx context.Context, who Actor, r storage.Report) error {
	if len(r.Reason) > maxReason {
		return matrix.Errorf(matrix.CodeInvalidParam, "A reason may have at most %d bytes.", maxReason)
	}
	r.Reporter, r.CreatedAt = who.User, s.now()
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		if err := s.live(tx, who); err != nil {
			return err
		}
		if err := s.mayReport(tx, r); err != nil {
			return err
		}
		return tx.AddReport(r)
	})
}

func (s *Service) mayReport(tx *storage.Tx, r storage.Report) error {
	switch {
	case r.EventID != "":
		return s.mayReportEvent(tx, r)
	case r.Room != "":
		_, err := tx.Room(r.Room)
		if errors.Is(err, storage.ErrNotFound) {
			return errNoReportedRoom
		}
		return err
	case s.local(r.User):
		_, err := tx.Account(r.User)
		if errors.Is(err, storage.ErrNotFound) {
			return errNoReportedUser
		}
		return err
	}
	return nil // of another server: whether they are there is that server's to know
}

// mayReportEvent asks the same of the database whether the event is not there or
// may not be seen.
func (s *Service) mayReportEvent(tx *storage.Tx, r storage.Report) error {
	v, err := s.events.Enter(tx, door.Reader{User: r.Reporter}, r.Room)
	if err != nil {
		return err
	}
	found, err := s.events.Events(tx, []string{r.EventID})
	if err != nil {
		return err
	}
	e := found[r.EventID]
	if e == nil || v.Membership() != join {
		return errNoReportedEvent
	}
	sees, err := v.Sees(e)
	if err == nil && !sees {
		err = errNoReportedEvent
	}
	return err
}

// Reports returns up to limit reports that are older than one ("": than none),
// latest first: for operators.
func (s *Service) Reports(ctx context.Context, before string, limit int) (list []storage.Report, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		list, err = tx.Reports(before, limit)
		return err
	})
	return list, err
}
