// Command jobs measures durable work in a table of our own (internal/job)
// against River, on SQLite and on PostgreSQL; docs/decisions/0003 has the
// figures.
//
//	LETHE_TEST_POSTGRES=postgres://… go run .
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

var (
	count   = flag.Int("jobs", 1000, "how many jobs are enqueued and run")
	writers = flag.Int("writers", 8, "how many goroutines enqueue")
	idle    = flag.Duration("idle", 20*time.Second, "how long to watch a queue that has nothing to do")
)

// queue is a job queue under measurement. ran is called by the handler of each
// job.
type queue interface {
	// enqueue stores one job in a transaction of its own and wakes the worker.
	enqueue(ctx context.Context, n int) error
	// start runs jobs until stop is called.
	start(ctx context.Context, ran func(n int)) (stop func(), err error)
	// writes counts transactions that have written so far.
	writes(ctx context.Context) (int64, error)
	close()
}

func main() {
	flag.Parse()
	fmt.Printf("%-6s %-9s %12s %12s %12s %12s %12s %12s\n",
		"queue", "database", "enqueue/s", "run/s", "wake p50", "wake p95", "idle writes", "idle CPU")
	for _, m := range []struct {
		name, engine string
		open         func(ctx context.Context, url string) (queue, error)
	}{
		{"own", "sqlite", openOwn},
		{"river", "sqlite", openRiverLite},
		{"own", "postgres", openOwn},
		{"river", "postgres", openRiverPG},
	} {
		if err := measure(m.name, m.engine, m.open); err != nil {
			fmt.Fprintf(os.Stderr, "%s on %s: %v\n", m.name, m.engine, err)
			os.Exit(1)
		}
	}
}

func measure(name, engine string, open func(context.Context, string) (queue, error)) error {
	ctx := context.Background()
	url, drop, err := database(ctx, engine)
	if err != nil {
		return err
	}
	defer drop()
	q, err := open(ctx, url)
	if err != nil {
		return err
	}
	defer q.close()
	enqueued, err := enqueueAll(ctx, q)
	if err != nil {
		return err
	}
	ran := make(chan int, *count)
	began := time.Now()
	stop, err := q.start(ctx, func(n int) { ran <- n })
	if err != nil {
		return err
	}
	defer stop()
	for range *count {
		<-ran
	}
	done := time.Since(began)
	wakes, err := wake(ctx, q, ran)
	if err != nil {
		return err
	}
	written, cpu, err := rest(ctx, q)
	if err != nil {
		return err
	}
	fmt.Printf("%-6s %-9s %12.0f %12.0f %12v %12v %12d %12v\n", name, engine,
		float64(*count)/enqueued.Seconds(), float64(*count)/done.Seconds(),
		wakes[len(wakes)/2].Round(100*time.Microsecond), wakes[len(wakes)*95/100].Round(100*time.Microsecond),
		written, cpu.Round(time.Millisecond))
	return nil
}

func enqueueAll(ctx context.Context, q queue) (time.Duration, error) {
	began := time.Now()
	errs := make(chan error, *count)
	var wg sync.WaitGroup
	for w := range *writers {
		wg.Go(func() {
			for n := w; n < *count; n += *writers {
				errs <- q.enqueue(ctx, n)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// wake measures, sorted, how long it takes from the call that enqueues to the
// handler, with nothing else to do.
func wake(ctx context.Context, q queue, ran <-chan int) ([]time.Duration, error) {
	var took []time.Duration
	for n := range 60 {
		time.Sleep(73 * time.Millisecond) // not in step with whatever polls
		began := time.Now()
		if err := q.enqueue(ctx, *count+n); err != nil {
			return nil, err
		}
		<-ran
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took, nil
}

// rest watches a queue that has nothing to do: first the time it takes, and
// then, since to count costs time too, what it writes.
func rest(ctx context.Context, q queue) (written int64, cpu time.Duration, err error) {
	time.Sleep(2 * time.Second) // what the last jobs left
	cpuBefore := cpuTime()
	time.Sleep(*idle)
	cpu = cpuTime() - cpuBefore
	before, err := q.writes(ctx)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(*idle)
	after, err := q.writes(ctx)
	return after - before, cpu, err
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func database(ctx context.Context, engine string) (url string, drop func(), err error) {
	if engine == "postgres" {
		return postgresDatabase(ctx)
	}
	dir, err := os.MkdirTemp("", "jobs")
	return "sqlite:" + filepath.Join(dir, "jobs.db"), func() { _ = os.RemoveAll(dir) }, err
}
