package storage_test

import (
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func newJob(id, subject string, due matrix.Timestamp) storage.Job {
	return storage.Job{ID: id, Kind: "k", Subject: subject, UniqueKey: "key " + id, Payload: []byte(`{"p":1}`), RunAt: due, CreatedAt: 1}
}

// lease takes jobs and returns their ids.
func lease(owner string, now, until matrix.Timestamp, limit int) func(*storage.Tx) ([]string, error) {
	return func(tx *storage.Tx) (ids []string, err error) {
		jobs, err := tx.LeaseJobs(owner, now, until, limit)
		for _, j := range jobs {
			ids = append(ids, j.ID)
		}
		return ids, err
	}
}

func TestJobsAreLeasedInTheOrderInWhichTheyAreDue(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		wantNone(t, db, (*storage.Tx).NextJobAt)
		for _, j := range []storage.Job{newJob("c", "", 30), newJob("a", "", 20), newJob("b", "", 10), newJob("d", "", 10)} {
			do(t, db, step((*storage.Tx).AddJob, j))
		}
		twin := newJob("e", "", 1)
		twin.UniqueKey = "key a"
		do(t, db, step((*storage.Tx).AddJob, twin)) // dropped
		want(t, db, 10, (*storage.Tx).NextJobAt)
		want(t, db, nil, lease("me", 9, 100, 10))
		want(t, db, []string{"b", "d", "a"}, lease("me", 25, 100, 3))
		want(t, db, nil, lease("other", 25, 100, 10))
		want(t, db, 30, (*storage.Tx).NextJobAt)
		want(t, db, []string{"c"}, lease("other", 30, 90, 10))
	})
}

func TestALeasedJobComesBackWhenItsLeaseEnds(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		do(t, db, step((*storage.Tx).AddJob, newJob("a", "", 10)))
		want(t, db, []string{"a"}, lease("me", 10, 60, 1))
		want(t, db, 60, (*storage.Tx).NextJobAt)
		extend := func(owner string, until matrix.Timestamp) func(*storage.Tx) (bool, error) {
			return func(tx *storage.Tx) (bool, error) { return tx.ExtendLease("a", owner, until) }
		}
		want(t, db, true, extend("me", 70))
		want(t, db, 70, (*storage.Tx).NextJobAt)
		want(t, db, nil, lease("other", 69, 100, 1))
		want(t, db, []string{"a"}, lease("other", 70, 100, 1))

		// Who lost it can do nothing with it any more.
		want(t, db, false, extend("me", 200))
		want(t, db, false, func(tx *storage.Tx) (bool, error) { return tx.FinishJob("a", "me", 71) })
		do(t, db, func(tx *storage.Tx) error { return tx.FailJob("a", "me", "no", 500) }, step2((*storage.Tx).ReleaseJob, "a", "me"))
		want(t, db, 100, (*storage.Tx).NextJobAt)
		want(t, db, true, func(tx *storage.Tx) (bool, error) { return tx.FinishJob("a", "other", 72) })
		wantNone(t, db, (*storage.Tx).NextJobAt)
	})
}

func TestADoneJobStaysForItsSubjectWithoutWhatItSaid(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		do(t, db, step((*storage.Tx).AddJob, newJob("a", "", 1)), step((*storage.Tx).AddJob, newJob("b", "s", 1)))
		want(t, db, []string{"a", "b"}, lease("me", 1, 60, 5))
		for _, id := range []string{"a", "b"} {
			want(t, db, true, func(tx *storage.Tx) (bool, error) { return tx.FinishJob(id, "me", 7) })
			want(t, db, false, func(tx *storage.Tx) (bool, error) { return tx.FinishJob(id, "me", 8) })
		}
		done := newJob("b", "s", 1)
		done.Payload, done.Done, done.DoneAt, done.Attempts = []byte(`{}`), true, 7, 1
		want(t, db, []storage.Job{done}, bind((*storage.Tx).JobsOf, "s"))
		want(t, db, nil, bind((*storage.Tx).JobsOf, ""))
		// Its key is still taken.
		again := newJob("c", "s", 1)
		again.UniqueKey = done.UniqueKey
		do(t, db, step((*storage.Tx).AddJob, again))
		want(t, db, []storage.Job{done}, bind((*storage.Tx).JobsOf, "s"))
	})
}

func TestAFailedJobIsDueLaterOrWhenAsked(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		do(t, db, step((*storage.Tx).AddJob, newJob("a", "s", 1)), step((*storage.Tx).AddJob, newJob("b", "s", 500)))
		want(t, db, []string{"a"}, lease("me", 1, 60, 1))
		want(t, db, 0, bind2((*storage.Tx).RetryJobs, "s", 2)) // a is being worked on, b has not been tried
		do(t, db, func(tx *storage.Tx) error { return tx.FailJob("a", "me", "broken\x00 \xff", 300) })
		failed := newJob("a", "s", 300)
		failed.Attempts, failed.LastError = 1, "broken\uFFFD \uFFFD"
		want(t, db, []storage.Job{failed, newJob("b", "s", 500)}, bind((*storage.Tx).JobsOf, "s"))
		want(t, db, 1, bind2((*storage.Tx).RetryJobs, "s", 3))
		want(t, db, 3, (*storage.Tx).NextJobAt)
		want(t, db, 0, bind2((*storage.Tx).RetryJobs, "other", 3))
	})
}

func TestAReleasedJobHasNotBeenTried(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		do(t, db, step((*storage.Tx).AddJob, newJob("a", "s", 1)))
		want(t, db, []string{"a"}, lease("me", 1, 60, 1))
		do(t, db, step2((*storage.Tx).ReleaseJob, "a", "me"))
		want(t, db, []storage.Job{newJob("a", "s", 1)}, bind((*storage.Tx).JobsOf, "s"))
		want(t, db, []string{"a"}, lease("me", 1, 60, 1))
		do(t, db, (*storage.Tx).ReleaseJobs) // a new process: nobody can have a lease
		want(t, db, []string{"a"}, lease("new", 2, 60, 1))
	})
}

func TestPendingJobsAreCountedAndDropped(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		for _, j := range []storage.Job{newJob("a", "s", 1), newJob("b", "s", 5), newJob("c", "other", 9)} {
			do(t, db, step((*storage.Tx).AddJob, j))
		}
		for range 2 {
			want(t, db, []string{"a"}, lease("me", 1, 1, 1)) // the lease ends at once
		}
		want(t, db, []storage.JobStat{{Kind: "k", Pending: 3, Stuck: 1}}, bind((*storage.Tx).JobStats, 2))
		want(t, db, []storage.JobStat{{Kind: "k", Pending: 3}}, bind((*storage.Tx).JobStats, 3))

		want(t, db, true, func(tx *storage.Tx) (bool, error) { return tx.FinishJob("a", "me", 3) })
		do(t, db, step((*storage.Tx).DropJobs, "s"))
		want(t, db, []storage.JobStat{{Kind: "k", Pending: 1}}, bind((*storage.Tx).JobStats, 2))
		want(t, db, 1, func(tx *storage.Tx) (int, error) { // what is done stays
			jobs, err := tx.JobsOf("s")
			return len(jobs), err
		})
	})
}

func TestJobsOfAProcessThatIsGoneAreReleased(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	db, other := storagetest.Open(t, url), storagetest.Open(t, url)
	owners := []string{db.Node() + ".x", other.Node() + ".x", "gone.x"}
	for i, owner := range owners {
		do(t, db, step((*storage.Tx).AddJob, newJob(owner, "s", 1)))
		want(t, db, []string{owners[i]}, lease(owner, 1, 1000, 1))
	}
	do(t, db, (*storage.Tx).ReleaseJobs)
	want(t, db, []string{"gone.x"}, lease("me", 2, 60, 5))
}
