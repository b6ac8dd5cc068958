package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lethe/client"
)

// transport answers requests without a network, so that time can be made up.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func (t transport) client() *client.Client {
	return &client.Client{BaseURL: "https://hs.example.org", HTTP: &http.Client{Transport: t}}
}

// slow is a body that gives a byte a minute, some times, and then nothing more.
type slow struct {
	ctx   context.Context
	times int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.times == 0 {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	s.times--
	time.Sleep(time.Minute)
	p[0] = 'x'
	return 1, nil
}

func (*slow) Close() error { return nil }

func TestARequestGivesUpInTime(t *testing.T) {
	hangs := transport(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}).client()
	tests := []struct {
		name  string
		limit time.Duration // of the caller, 0 for none
		want  time.Duration
	}{
		{"of its own accord", 0, client.AnswerTime},
		{"when the caller says, sooner", time.Second, time.Second},
		{"when the caller says, later", time.Hour, time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.limit)
					defer cancel()
				}
				start := time.Now()
				_, err := hangs.Whoami(ctx)
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != test.want {
					t.Errorf("Whoami = %v after %s; want %s", err, took, test.want)
				}
			})
		})
	}
}

func TestADownloadMayTakeLongAndEndsWhenNothingArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: &slow{r.Context(), 10}, Request: r}, nil
		}).client()
		var got bytes.Buffer
		start := time.Now()
		err := c.Export(t.Context(), &got)
		if err == nil || !strings.Contains(err.Error(), "nothing arrived for 2m0s") || got.Len() != 10 {
			t.Errorf("Export = %v, with %q", err, &got)
		}
		if took := time.Since(start); took != 10*time.Minute+client.AnswerTime {
			t.Errorf("it took %s", took)
		}
	})
}

func TestADownloadThatNeverBeginsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}).client()
		if err := c.Export(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "nothing arrived") {
			t.Errorf("Export = %v", err)
		}
	})
}
