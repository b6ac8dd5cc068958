package deactivation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lethe/internal/identity"
	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage"
)

// step is a part of an ending that empties tables, after its transaction, in
// batches.
type step struct {
	name      string
	tables    []string // in this order
	onlyErase bool
}

// steps are what an ending does after its transaction (DESIGN §6), beside
// unbinding. Each is a job; they do not depend on each other.
var steps = []step{
	// Devices first: the address log gets a row only while its device is there.
	{name: "devices", tables: []string{"devices", "connections"}},
	{name: "data", tables: []string{
		"account_data", "filters", "receipts", "typing", "presence", "notice_rooms", "profile_changes", "alias_creators",
		"transactions",
	}},
	{name: "profile", tables: []string{"profile_fields", "terms_accepted", "reports"}, onlyErase: true},
}

// The kinds of jobs that are not the clearing of tables.
const (
	kindPrefix   = "deactivation."
	kindRooms    = kindPrefix + "rooms"
	kindEvents   = kindPrefix + "events"
	kindUnbind   = kindPrefix + "unbind"
	kindFinalise = kindPrefix + "finalise"
	kindNotify   = kindPrefix + "notify"
)

// batch is how many rows go in one transaction, so that an account with many
// does not keep others from writing.
const batch = 1000

// unbindTarget is the payload of an unbind job: what is unbound where.
type unbindTarget struct {
	Medium   string            `json:"medium"`
	Address  string            `json:"address"`
	IDServer matrix.ServerName `json:"id_server"`
}

func (s *Service) registerSteps() {
	for _, st := range steps {
		s.jobs.Handle(kindPrefix+st.name, func(ctx context.Context, run *job.Run) error { return s.clear(ctx, run, st) })
	}
	s.jobs.Handle(kindRooms, s.leaveRooms)
	s.jobs.Handle(kindEvents, s.eraseEvents)
	s.jobs.Handle(room.KindErase, s.lookJob)
	s.jobs.Handle(kindUnbind, s.unbind)
	s.jobs.Handle(kindFinalise, s.finalise)
	s.jobs.Handle(kindNotify, s.notify)
}

// enqueueSteps stores the work of an ending in the transaction that makes it
// final. The identifiers go from their tables into the jobs that unbind them.
func (s *Service) enqueueSteps(tx *storage.Tx, d storage.Deactivation) error {
	targets, err := s.targets(tx, d)
	if err != nil {
		return err
	}
	for i, t := range targets {
		// The key stays when the payload is gone, so it does not name the address.
		key := fmt.Sprintf("%s/unbind/%d@%s", d.ID, i, t.IDServer)
		n := job.New{Kind: kindUnbind, Subject: d.ID, Key: key, Payload: t.unbindTarget, RunAt: t.notBefore}
		if err := job.Enqueue(tx, s.opts.Now(), n); err != nil {
			return err
		}
	}
	for _, table := range []string{"threepids", "threepid_bindings"} {
		if err := s.remove(tx, d, table); err != nil {
			return err
		}
	}
	if err := s.enqueue(tx, d, kindRooms, d.ID+"/rooms", struct{}{}); err != nil {
		return err
	}
	if d.Erase {
		if err := s.enqueue(tx, d, kindEvents, d.ID+"/events", struct{}{}); err != nil {
			return err
		}
	}
	for _, st := range steps {
		if st.onlyErase && !d.Erase {
			continue
		}
		if err := s.enqueue(tx, d, kindPrefix+st.name, d.ID+"/"+st.name, struct{}{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) enqueue(tx *storage.Tx, d storage.Deactivation, kind, key string, payload any) error {
	return job.Enqueue(tx, s.opts.Now(), job.New{Kind: kind, Subject: d.ID, Key: key, Payload: payload})
}

// clear empties the tables of a step.
func (s *Service) clear(ctx context.Context, run *job.Run, st step) error {
	for {
		var done bool
		err := s.db.Update(ctx, func(tx *storage.Tx) error {
			d, err := tx.LockDeactivation(run.Job().Subject)
			if err != nil {
				return err
			}
			if done, err = s.clearBatch(tx, d, st.tables); err != nil || !done {
				return err
			}
			return s.complete(tx, run, d)
		})
		if err != nil || done {
			return err
		}
	}
}

// clearBatch deletes a batch of rows, and tells whether there are no more.
func (s *Service) clearBatch(tx *storage.Tx, d storage.Deactivation, tables []string) (bool, error) {
	left := int64(batch)
	for _, table := range tables {
		n, err := tx.DeletePersonal(table, d.UserID, int(left))
		if err != nil {
			return false, err
		}
		if err := tx.AddCount(d.ID, categoryOf(table), n); err != nil {
			return false, err
		}
		if left -= n; left == 0 {
			return false, nil
		}
	}
	return true, nil
}

// refusedPause is how long to wait after an identity server has refused: its
// operator has to change something first.
const refusedPause = 6 * time.Hour

// unbind takes back one association (DESIGN §6, step 1).
func (s *Service) unbind(ctx context.Context, run *job.Run) error {
	var t unbindTarget
	if err := run.Payload(&t); err != nil {
		return err
	}
	d, err := s.deactivation(ctx, run.Job().Subject)
	if err != nil {
		return err
	}
	err = s.askToUnbind(ctx, d.UserID, t)
	var status *identity.StatusError
	switch {
	case errors.Is(err, identity.ErrRefused):
		return job.Later(err, refusedPause)
	case errors.As(err, &status):
		return job.Later(err, status.RetryAfter)
	case err != nil:
		return err
	}
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		d, err := tx.LockDeactivation(run.Job().Subject)
		if err != nil {
			return err
		}
		if err := tx.AddCount(d.ID, "unbound", 1); err != nil {
			return err
		}
		return s.complete(tx, run, d)
	})
}

// unbindTime bounds one attempt: a server that hangs must not keep the workers
// from the steps of others.
const unbindTime = 10 * time.Second

func (s *Service) askToUnbind(ctx context.Context, user matrix.UserID, t unbindTarget) error {
	ctx, cancel := context.WithTimeout(ctx, unbindTime)
	defer cancel()
	return s.identity.Unbind(ctx, t.IDServer, user, matrix.Threepid{Medium: t.Medium, Address: t.Address})
}

// complete marks a step done, and with the last one the ending: its final
// receipt is made in the same transaction. The caller has locked the ending.
func (s *Service) complete(tx *storage.Tx, run *job.Run, d storage.Deactivation) error {
	if err := run.Complete(tx); err != nil {
		return err
	}
	jobs, err := tx.JobsOf(d.ID)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if !j.Done {
			return nil
		}
	}
	if d.State != storage.Running {
		return nil
	}
	d.State, d.FinishedAt = storage.Done, s.now()
	receipt, err := s.receipt(tx, d)
	if err != nil {
		return err
	}
	return tx.FinishDeactivation(d.ID, d.FinishedAt, receipt)
}

// deactivation reads one ending; M_NOT_FOUND if there is none.
func (s *Service) deactivation(ctx context.Context, id string) (d storage.Deactivation, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		d, err = tx.Deactivation(id)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		err = errNoEnding
	}
	return d, err
}

var errNoEnding = matrix.Errorf(matrix.CodeNotFound, "There is no such deactivation.")
