package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lethe/internal/job"
	"lethe/internal/storage"
)

// own is internal/job.
type own struct {
	db     *storage.DB
	runner *job.Runner
}

func openOwn(ctx context.Context, url string) (queue, error) {
	db, err := storage.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	return &own{db, job.NewRunner(db, job.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})}, nil
}

func (o *own) enqueue(ctx context.Context, n int) error {
	err := o.db.Update(ctx, func(tx *storage.Tx) error {
		return job.Enqueue(tx, time.Now(), job.New{Kind: "number", Key: fmt.Sprint(n), Payload: n})
	})
	o.runner.Wake()
	return err
}

func (o *own) start(ctx context.Context, ran func(int)) (func(), error) {
	o.runner.Handle("number", func(ctx context.Context, run *job.Run) error {
		var n int
		if err := run.Payload(&n); err != nil {
			return err
		}
		ran(n)
		return o.db.Update(ctx, run.Complete)
	})
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = o.runner.Run(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}, nil
}

func (o *own) writes(context.Context) (int64, error) { return o.db.Stats().Commits, nil }

func (o *own) close() { _ = o.db.Close() }
