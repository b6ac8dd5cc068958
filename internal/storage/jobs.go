package storage

import (
	"cmp"
	"database/sql"
	"slices"

	"lethe/internal/matrix"
)

// Job is a row of jobs. Payload is JSON.
type Job struct {
	ID        string
	Kind      string
	Subject   string
	UniqueKey string
	Payload   []byte
	Done      bool
	Attempts  int64
	LastError string
	RunAt     matrix.Timestamp
	CreatedAt matrix.Timestamp
	DoneAt    matrix.Timestamp // 0: not done
}

const jobColumns = `id, kind, subject, unique_key, payload, state = 'done', attempts, last_error, run_at, created_at, done_at`

func scanJob(s scanner) (Job, error) {
	var j Job
	var failure sql.NullString
	var done sql.NullInt64
	err := s.Scan(&j.ID, &j.Kind, &j.Subject, &j.UniqueKey, &j.Payload, &j.Done, &j.Attempts, &failure,
		&j.RunAt, &j.CreatedAt, &done)
	j.LastError, j.DoneAt = failure.String, matrix.Timestamp(done.Int64)
	return j, err
}

// AddJob stores a job, unless one with its UniqueKey is there.
func (tx *Tx) AddJob(j Job) error {
	return tx.run(`INSERT INTO jobs (id, kind, subject, unique_key, payload, state, run_at, created_at)
		VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7) ON CONFLICT (unique_key) DO NOTHING`,
		j.ID, j.Kind, j.Subject, j.UniqueKey, string(j.Payload), j.RunAt, j.CreatedAt)
}

// LeaseJobs takes up to limit pending jobs that are due for owner, until the
// lease ends; the one that is longest due first. A job whose lease has run out
// is due again.
func (tx *Tx) LeaseJobs(owner string, now, until matrix.Timestamp, limit int) ([]Job, error) {
	jobs, err := all(tx, scanJob, `UPDATE jobs SET lease_owner = $1, lease_until = $3, attempts = attempts + 1
		WHERE id IN (SELECT id FROM jobs WHERE state = 'pending' AND run_at <= $2
			AND (lease_until IS NULL OR lease_until <= $2)
			ORDER BY run_at, created_at, id LIMIT $4`+tx.dialect.skipLocked+`)
		RETURNING `+jobColumns, owner, now, until, limit)
	slices.SortFunc(jobs, func(a, b Job) int { // RETURNING has no order
		return cmp.Or(cmp.Compare(a.RunAt, b.RunAt), cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return jobs, err
}

// ExtendLease keeps a job for its owner until a later time. It returns false if
// the lease was lost.
func (tx *Tx) ExtendLease(id, owner string, until matrix.Timestamp) (bool, error) {
	n, err := tx.exec(`UPDATE jobs SET lease_until = $3 WHERE id = $1 AND lease_owner = $2 AND state = 'pending'`,
		id, owner, until)
	return n == 1, err
}

// FinishJob marks a job done: one with a subject stays as a row without its
// payload, one without is deleted. It returns false if owner has lost it.
func (tx *Tx) FinishJob(id, owner string, at matrix.Timestamp) (bool, error) {
	n, err := tx.exec(`UPDATE jobs SET state = 'done', done_at = $3, payload = '{}', last_error = NULL,
			lease_owner = NULL, lease_until = NULL
		WHERE id = $1 AND lease_owner = $2 AND state = 'pending'`, id, owner, at)
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.run(`DELETE FROM jobs WHERE id = $1 AND subject = ''`, id)
}

// FailJob records why a job failed and when it is tried again.
func (tx *Tx) FailJob(id, owner, failure string, next matrix.Timestamp) error {
	return tx.run(`UPDATE jobs SET last_error = $3, run_at = $4, lease_owner = NULL, lease_until = NULL
		WHERE id = $1 AND lease_owner = $2 AND state = 'pending'`, id, owner, failure, next)
}

// ReleaseJobs ends the leases of processes that are gone: of owners that do not
// begin with the name of a node and a dot ([DB.Node]). On SQLite, where there are
// no nodes, that is everybody's: it is for the start, when no other process can
// have one.
func (tx *Tx) ReleaseJobs() error {
	return tx.run(`UPDATE jobs SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM nodes WHERE jobs.lease_owner LIKE nodes.id || '.%')`)
}

// ReleaseJob gives back a job that was not worked on to its end: it is due as it
// was, and the attempt does not count.
func (tx *Tx) ReleaseJob(id, owner string) error {
	return tx.run(`UPDATE jobs SET attempts = attempts - 1, lease_owner = NULL, lease_until = NULL
		WHERE id = $1 AND lease_owner = $2 AND state = 'pending'`, id, owner)
}

// NextJobAt is when a pending job is next due: one that nobody has at its time,
// one that somebody has when the lease ends. [ErrNotFound] if nothing is pending.
func (tx *Tx) NextJobAt() (matrix.Timestamp, error) {
	var at sql.NullInt64
	err := tx.one(`SELECT MIN(at) FROM (
			SELECT MIN(run_at) AS at FROM jobs WHERE state = 'pending' AND lease_owner IS NULL
			UNION ALL
			SELECT MIN(lease_until) FROM jobs WHERE state = 'pending' AND lease_owner IS NOT NULL
		) AS next`, nil, &at)
	if err == nil && !at.Valid {
		return 0, ErrNotFound
	}
	return matrix.Timestamp(at.Int64), err
}

// JobsOf lists all jobs of a subject, oldest first.
func (tx *Tx) JobsOf(subject string) ([]Job, error) {
	return all(tx, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE subject = $1
		ORDER BY created_at, kind, unique_key`, subject)
}

// RetryJobs makes the pending jobs of a subject that have failed, and that nobody
// has, due at once, and returns how many there are. One that has not been tried
// waits for its time: it was given it for a reason.
func (tx *Tx) RetryJobs(subject string, now matrix.Timestamp) (int64, error) {
	return tx.exec(`UPDATE jobs SET run_at = $2
		WHERE subject = $1 AND state = 'pending' AND lease_owner IS NULL AND last_error IS NOT NULL`, subject, now)
}

// DropJobs deletes the jobs of a subject that are still to do.
func (tx *Tx) DropJobs(subject string) error {
	return tx.run(`DELETE FROM jobs WHERE subject = $1 AND state = 'pending'`, subject)
}

// JobStats counts pending jobs by kind, and those that have failed at least
// stuckAfter times.
func (tx *Tx) JobStats(stuckAfter int64) ([]JobStat, error) {
	return all(tx, func(s scanner) (JobStat, error) {
		var v JobStat
		err := s.Scan(&v.Kind, &v.Pending, &v.Stuck)
		return v, err
	}, `SELECT kind, COUNT(*), COUNT(CASE WHEN attempts >= $1 THEN 1 END) FROM jobs
		WHERE state = 'pending' GROUP BY kind ORDER BY kind`, stuckAfter)
}

// JobStat is how much work of a kind is pending, and how much of it is stuck.
type JobStat struct {
	Kind    string
	Pending int64
	Stuck   int64
}
