//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Of the load: who there is, and how much they say.
const (
	loadUsers   = 200
	loadRooms   = 50
	loadMembers = 8 // of each room
	loadReaders = 100
	loadSends   = 2000
	loadSenders = 8
)

// TestLoad: no error, and every client gets every message of its rooms once and
// in the order that the room has.
func TestLoad(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		l := &load{t: t, servers: []string{w.client.own}}
		l.prepare()
		l.talk(nil)
		l.check()
		if kb := residentKB(t, w.run.cmd.Process.Pid); kb > 400<<10 {
			t.Errorf("the server has %d MB in memory", kb>>10)
		}
	}, quick...)
}

// TestLoadOnTwoProcessesOfWhichOneIsKilled: the clients of the one that is killed
// go on at the other, with the tokens and transaction ids that they have.
func TestLoadOnTwoProcessesOfWhichOneIsKilled(t *testing.T) {
	w := newWorld(t, "postgres", quick...)
	other := &world{t: t, dir: filepath.Join(w.dir, "other"), listen: freePort(t)}
	if err := os.Mkdir(other.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	other.options = slices.Clone(w.options)
	for name, value := range map[string]string{
		"--data-dir": other.dataDir(), "--listen": fmt.Sprintf("127.0.0.1:%d", other.listen),
		"--federation-listen": fmt.Sprintf("127.0.0.1:%d", freePort(t)),
	} {
		other.options[slices.Index(other.options, name)+1] = value
	}
	other.start()
	l := &load{t: t, servers: []string{w.client.own, fmt.Sprintf("http://127.0.0.1:%d", other.listen)}}
	l.prepare()
	l.talk(func() {
		_ = other.run.stop(syscall.SIGKILL)
		l.dead.Store(true)
	})
	l.check()
}

// quick are the settings of a server whose passwords cost nothing.
var quick = []string{
	"--registration", "open", "--rate-limits", "off", "--argon2-memory", "8", "--argon2-time", "1", "--log-level", "warn",
}

// load is a crowd on one server, or two.
type load struct {
	t       *testing.T
	servers []string
	dead    atomic.Bool // the second server is
	users   []*reader
	rooms   []string
	sent    sync.Map // event id → room
	done    atomic.Bool
}

// reader is a user, with what has come to them.
type reader struct {
	id, token, since string
	server           int
	rooms            map[string]bool
	got              map[string][]string // message ids by room, in the order they came
}

// errGone is that the server of a request is not there.
var errGone = errors.New("the server is gone")

// call makes a request on the server of u, and the answer into dst.
func (l *load) call(u *reader, method, path string, body, dst any) error {
	server := l.servers[u.server]
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, server+"/_matrix/client/v3/"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if u.token != "" {
		req.Header.Set("Authorization", "Bearer "+u.token)
	}
	resp, err := crowd.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %d %.300s", method, path, resp.StatusCode, answer)
	}
	return json.Unmarshal(answer, dst)
}

var crowd = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * loadReaders}}

// must is call, on the other server where that of u has been killed.
func (l *load) must(u *reader, method, path string, body, dst any) bool {
	err := l.call(u, method, path, body, dst)
	for end := time.Now().Add(patience); errors.Is(err, errGone) && len(l.servers) == 2 && time.Now().Before(end); {
		if u.server == 1 && l.dead.Load() {
			u.server = 0
		}
		err = l.call(u, method, path, body, dst)
	}
	if err != nil {
		l.t.Error(err)
	}
	return err == nil
}

// prepare makes the users and rooms.
func (l *load) prepare() {
	l.users = make([]*reader, loadUsers)
	l.each(loadUsers, func(i int) {
		u := &reader{server: i % len(l.servers), rooms: map[string]bool{}, got: map[string][]string{}}
		var session struct {
			User  string `json:"user_id"`
			Token string `json:"access_token"`
		}
		l.must(u, http.MethodPost, "register", object{
			"username": fmt.Sprintf("user%d", i), "password": "the password of the crowd", "auth": object{"type": "m.login.dummy"},
		}, &session)
		u.id, u.token = session.User, session.Token
		l.users[i] = u
	})
	l.rooms = make([]string, loadRooms)
	l.each(loadRooms, func(i int) {
		var room struct {
			ID string `json:"room_id"`
		}
		l.must(l.users[i], http.MethodPost, "createRoom", object{"preset": "public_chat"}, &room)
		l.rooms[i] = room.ID
	})
	for i, room := range l.rooms {
		l.users[i].rooms[room] = true
		l.each(loadMembers-1, func(n int) {
			u := l.users[(i+(n+1)*13)%loadReaders]
			l.must(u, http.MethodPost, "rooms/"+url.PathEscape(room)+"/join", object{}, &object{})
		})
		for n := range loadMembers - 1 {
			l.users[(i+(n+1)*13)%loadReaders].rooms[room] = true
		}
	}
	if l.t.Failed() {
		l.t.FailNow()
	}
}

// each runs fn for 0 to n-1, some at once.
func (l *load) each(n int, fn func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range loadSenders {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				fn(int(i))
			}
		})
	}
	wg.Wait()
}

// talk has messages sent while others sync. halfway, which may be nil, is called
// in the middle.
func (l *load) talk(halfway func()) {
	var readers sync.WaitGroup
	for _, u := range l.users[:loadReaders] {
		readers.Go(func() { l.read(u) })
	}
	var once sync.Once
	var count atomic.Int64
	l.each(loadSends, func(i int) {
		if n := count.Add(1); n > loadSends/2 && halfway != nil {
			once.Do(halfway)
		}
		l.send(i)
	})
	l.done.Store(true)
	readers.Wait()
}

// send sends the message number i: in a room, by one of its members, and every
// tenth twice with the same transaction id.
func (l *load) send(i int) {
	room := l.rooms[i%loadRooms]
	author := &reader{token: l.users[i%loadRooms].token, server: i % len(l.servers)}
	path := "rooms/" + url.PathEscape(room) + "/send/m.room.message/m" + strconv.Itoa(i)
	body := object{"msgtype": "m.text", "body": fmt.Sprintf("message %d", i)}
	var first, second struct {
		ID string `json:"event_id"`
	}
	if !l.must(author, http.MethodPut, path, body, &first) {
		return
	}
	l.sent.Store(first.ID, room)
	if i%10 == 0 && l.must(author, http.MethodPut, path, body, &second) && first.ID != second.ID {
		l.t.Errorf("one transaction made the events %s and %s", first.ID, second.ID)
	}
}

// read syncs until everything was said, and once more.
func (l *load) read(u *reader) {
	const filter = `{"presence":{"not_types":["*"]},"room":{"timeline":{"limit":1000},"state":{"lazy_load_members":true}}}`
	for last := false; ; {
		finished := l.done.Load()
		var answer struct {
			Next  string `json:"next_batch"`
			Rooms struct {
				Join map[string]struct {
					Timeline struct {
						Limited bool `json:"limited"`
						Events  []struct {
							ID   string `json:"event_id"`
							Type string `json:"type"`
						} `json:"events"`
					} `json:"timeline"`
				} `json:"join"`
			} `json:"rooms"`
		}
		query := url.Values{"timeout": {"2000"}, "filter": {filter}}
		if u.since != "" {
			query.Set("since", u.since)
		}
		if !l.must(u, http.MethodGet, "sync?"+query.Encode(), nil, &answer) {
			return
		}
		news := false
		for room, part := range answer.Rooms.Join {
			if part.Timeline.Limited && u.since != "" {
				l.t.Errorf("%s: there is a gap in %s", u.id, room)
			}
			for _, e := range part.Timeline.Events {
				if e.Type == "m.room.message" {
					u.got[room], news = append(u.got[room], e.ID), true
				}
			}
		}
		u.since = answer.Next
		if last && !news {
			return
		}
		last = finished
	}
}

// check compares what came with what the rooms have.
func (l *load) check() {
	l.t.Helper()
	rooms := map[string][]string{}
	for i, room := range l.rooms {
		rooms[room] = l.timeline(l.users[i], room)
	}
	total := 0
	for _, list := range rooms {
		total += len(list)
		for _, id := range list {
			if _, ok := l.sent.Load(id); !ok {
				l.t.Errorf("%s is in a room, and its sender does not know", id)
			}
		}
	}
	if total != loadSends {
		l.t.Errorf("the rooms have %d messages, and %d were sent", total, loadSends)
	}
	for _, u := range l.users[:loadReaders] {
		for room := range u.rooms {
			if diff := cmp.Diff(rooms[room], u.got[room]); diff != "" {
				l.t.Errorf("%s got other messages of %s (-what the room has, +what came):\n%s", u.id, room, diff)
			}
		}
	}
}

// timeline is the messages of a room, oldest first.
func (l *load) timeline(u *reader, room string) (ids []string) {
	for from := ""; ; {
		var page struct {
			End   string `json:"end"`
			Chunk []struct {
				ID   string `json:"event_id"`
				Type string `json:"type"`
			} `json:"chunk"`
		}
		if !l.must(u, http.MethodGet, "rooms/"+url.PathEscape(room)+"/messages?dir=f&limit=100&from="+from, nil, &page) {
			return ids
		}
		for _, e := range page.Chunk {
			if e.Type == "m.room.message" {
				ids = append(ids, e.ID)
			}
		}
		if from = page.End; from == "" {
			return ids
		}
	}
}

// residentKB is how much memory a process has.
func residentKB(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Fatal("the process has no memory")
	return 0
}
