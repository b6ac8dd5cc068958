package deactivation_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// The variables of package crash, which is only there with its build tag.
const (
	envArm   = "LETHE_CRASH_ARM"
	envAt    = "LETHE_CRASH_AT"
	envTrace = "LETHE_CRASH_TRACE"
)

// crashAddress is the address that is bound, and written to in a grace period.
const crashAddress = "alice.secret@example.org"

// crashCase is a way to end an account. Its grace period is short: the test
// waits for it.
type crashCase struct {
	name  string
	grace time.Duration
}

// TestAnEndingSurvivesBeingKilledAnywhere kills a real server with SIGKILL at
// every point that an ending passes: before and after each commit, and around
// each call to another host. The points are those of a first run, which counts
// them. After a restart the account is untouched and can log in, or has ended
// and finishes by itself (DESIGN §2, promise 2).
func TestAnEndingSurvivesBeingKilledAnywhere(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "lethe")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "crashpoints", "-o", binary, "lethe/cmd/lethe")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	for _, engine := range storagetest.Engines {
		for _, c := range []crashCase{{"at once", 0}, {"after a grace period", time.Second}} {
			t.Run(engine+" "+c.name, func(t *testing.T) {
				points := tracePoints(t, binary, engine, c)
				t.Logf("%d points: %v", len(points), points)
				for _, want := range []string{"storage.commit.before", "storage.commit.after", "outbound.before", "outbound.after"} {
					if !slices.Contains(points, point{want, 1}) {
						t.Errorf("an ending passes no point %s", want)
					}
				}
				killed := killAtEach(t, binary, engine, c, points)
				for _, p := range points {
					if p.n == 1 && !slices.Contains(killed, p) {
						t.Errorf("no run was killed at %s", p)
					}
				}
			})
		}
	}
}

// point is the n-th time, from 1, that a process passes the point of a name.
type point struct {
	name string
	n    int
}

func (p point) String() string { return p.name + "#" + strconv.Itoa(p.n) }

// tracePoints ends an account without any crash, and returns the points passed.
func tracePoints(t *testing.T, binary, engine string, c crashCase) []point {
	t.Helper()
	v := newVictim(t, binary, engine, c)
	trace := filepath.Join(v.dir, "trace")
	p := v.start(envTrace + "=" + trace)
	if err := v.end(p); err != nil {
		t.Fatalf("the ending: %v\n%s", err, p.log())
	}
	v.check(p, true)
	return tracedPoints(t, trace)
}

func tracedPoints(t *testing.T, file string) (points []point) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	passed := map[string]int{}
	for name := range strings.FieldsSeq(string(raw)) {
		passed[name]++
		points = append(points, point{name, passed[name]})
	}
	return points
}

// killAtEach runs an ending per point, two at a time, and returns those at which
// they were killed.
func killAtEach(t *testing.T, binary, engine string, c crashCase, points []point) (killed []point) {
	t.Helper()
	var mu sync.Mutex
	t.Run("points", func(t *testing.T) {
		slots := make(chan struct{}, 2)
		for _, at := range points {
			t.Run(at.String(), func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				if killAt(t, binary, engine, c, at) {
					mu.Lock()
					defer mu.Unlock()
					killed = append(killed, at)
				}
			})
		}
	})
	return killed
}

// killAt kills the server at one point of an ending, starts it again, and checks
// what has become of the account. It returns false for an ending that did not
// pass the point: jobs that run in parallel share commits, now more and now less.
func killAt(t *testing.T, binary, engine string, c crashCase, at point) bool {
	v := newVictim(t, binary, engine, c)
	trace := filepath.Join(v.dir, "trace")
	p := v.start(envAt+"="+at.String(), envTrace+"="+trace)
	answered := v.end(p) == nil
	if !v.killed(p, answered) {
		if !slices.Contains(tracedPoints(t, trace), at) {
			v.check(p, answered)
			return false
		}
		select { // it has passed the point just now
		case <-p.ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("it passed %s and lives", at)
		}
	}
	v.check(v.start(), answered)
	return true
}

// victim is an account on a server that is about to be killed, with an address
// bound at an identity server.
type victim struct {
	t      *testing.T
	binary string
	dir    string
	who    hstest.Session
	ids    *hstest.IdentityServer
	env    []string
	db     string
	rooms  crashRooms
}

// crashRooms are the rooms of the victim: one that somebody else is in, who may go
// on reading; one that they are alone in; and one that they are invited to.
type crashRooms struct {
	shared, alone, invited string
	kept, gone             string // a message in the first two
}

func newCrashRooms(s *hstest.Server, who, other hstest.Session) (r crashRooms) {
	public := object{"preset": "public_chat", "room_version": "11"}
	r.shared, r.alone = s.CreateRoom(who.Token, public), s.CreateRoom(who.Token, public)
	r.invited = s.CreateRoom(other.Token, object{"invite": []string{who.UserID}})
	s.Join(other.Token, r.shared)
	r.kept, r.gone = s.SendText(who.Token, r.shared, planted), s.SendText(who.Token, r.alone, planted)
	return r
}

func newVictim(t *testing.T, binary, engine string, c crashCase) *victim {
	t.Helper()
	ids, mails := hstest.NewIdentityServer(t), hstest.NewMailServer(t, "none")
	s := hstest.New(t, engine, hstest.Mail(t, mails), hstest.Trust(t, ids))
	who := s.Register("alice")
	update(t, s.DB, func(tx *storage.Tx) error {
		return tx.AddThreepid(storage.ThreepidRow{
			Threepid: matrix.Threepid{Medium: matrix.MediumEmail, Address: crashAddress},
			UserID:   matrix.UserID(who.UserID), ValidatedAt: 1, AddedAt: 1,
		})
	})
	s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/3pid/bind", who.Token, object{
		"sid": crashAddress, "client_secret": "secret", "id_server": ids.Name, "id_access_token": "token",
	})
	rooms := newCrashRooms(s, who, s.Register("bob"))
	s.Stop()
	set := s.Settings()
	v := &victim{t: t, binary: binary, dir: set.DataDir, who: who, ids: ids, db: string(set.Database), rooms: rooms}
	v.env = append(os.Environ(),
		"LETHE_SERVER_NAME="+set.ServerName, "LETHE_DATA_DIR="+set.DataDir, "LETHE_DATABASE="+v.db,
		"LETHE_LISTEN=127.0.0.1:0", "LETHE_RATE_LIMITS=off", "LETHE_ARGON2_MEMORY=8", "LETHE_ARGON2_TIME=1",
		"LETHE_TRUSTED_CA="+set.TrustedCA, "LETHE_ALLOW_PRIVATE_NETWORKS=true",
		"LETHE_SMTP_HOST="+set.SMTPHost, "LETHE_SMTP_PORT="+strconv.Itoa(set.SMTPPort), "LETHE_SMTP_FROM="+set.SMTPFrom,
		"LETHE_SMTP_SECURITY="+set.SMTPSecurity, "LETHE_SMTP_USER="+set.SMTPUser, "LETHE_SMTP_PASSWORD="+string(set.SMTPPassword),
		"LETHE_DEACTIVATION_GRACE="+c.grace.String(), envArm+"="+v.arm(),
	)
	return v
}

// arm is the file that makes points count: from the start of an ending on.
func (v *victim) arm() string { return filepath.Join(v.dir, "armed") }

// server is a running process of the server.
type server struct {
	cmd   *exec.Cmd
	mu    sync.Mutex
	out   bytes.Buffer
	url   string
	ended chan struct{}
}

// Write takes what the server logs.
func (p *server) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *server) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

var listening = regexp.MustCompile(`msg=listening for=client address=(\S+)`)

// start starts the server with further variables and waits until it listens. A
// database may still be held, for a moment, by a process that was killed.
func (v *victim) start(env ...string) *server {
	v.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		p := &server{cmd: exec.Command(v.binary, "serve"), ended: make(chan struct{})} //nolint:noctx // it is killed below
		p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append(v.env, env...), p, p
		if err := p.cmd.Start(); err != nil {
			v.t.Fatal(err)
		}
		go func() {
			_ = p.cmd.Wait() // its status is what the test asked for
			close(p.ended)
		}()
		v.t.Cleanup(func() {
			_ = p.cmd.Process.Kill()
			<-p.ended
		})
		if v.listens(p) {
			return p
		}
		if time.Now().After(end) || !strings.Contains(p.log(), storage.ErrLocked.Error()) {
			v.t.Fatalf("the server does not start:\n%s", p.log())
		}
	}
}

func (v *victim) listens(p *server) bool {
	for {
		if m := listening.FindStringSubmatch(p.log()); m != nil {
			p.url = "http://" + m[1]
			return true
		}
		select {
		case <-p.ended:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ask makes a request; an answer that is not 200 is an error that has it.
func (v *victim) ask(p *server, method, path, token string, body object) (object, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer object
	if err := json.UnmarshalRead(resp.Body, &answer); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%d %v", resp.StatusCode, answer["errcode"])
	}
	return answer, nil
}

// end ends the account, with the points armed.
func (v *victim) end(p *server) error {
	v.t.Helper()
	if err := os.WriteFile(v.arm(), nil, 0o600); err != nil {
		v.t.Fatal(err)
	}
	_, err := v.ask(p, http.MethodPost, endPath, v.who.Token,
		object{"erase": true, "auth": hstest.PasswordAuth("alice", v.who.Password, "")})
	return err
}

// killed waits until the server has died at its point, or everything is done
// without.
func (v *victim) killed(p *server, answered bool) bool {
	v.t.Helper()
	for {
		select {
		case <-p.ended:
			return true
		case <-time.After(20 * time.Millisecond):
		}
		if answered && v.done() {
			select {
			case <-p.ended: // at a point after the last commit
				return true
			case <-time.After(100 * time.Millisecond):
				return false
			}
		}
	}
}

// done tells whether the ending is done, by way of the identity server: its
// association goes once, and last of what another process can see.
func (v *victim) done() bool {
	path := filepath.Join(v.dir, "admin.sock")
	ending, err := operator(v.t, path, "/_lethe/admin/v1/deactivations")
	list, _ := ending["deactivations"].([]any)
	if err != nil || len(list) == 0 {
		return false
	}
	first, _ := list[0].(object)
	return first["state"] == string(storage.Done)
}

// check looks at what has become of the account on a server that was started
// again: untouched, unless its owner was told that it has ended, or ended and
// finishing by itself.
func (v *victim) check(p *server, answered bool) {
	v.t.Helper()
	login := object{
		"type": "m.login.password", "password": v.who.Password, "identifier": object{"type": "m.id.user", "user": "alice"},
	}
	_, whoami := v.ask(p, http.MethodGet, "/_matrix/client/v3/account/whoami", v.who.Token, nil)
	_, err := v.ask(p, http.MethodPost, "/_matrix/client/v3/login", "", login)
	if err == nil {
		v.untouched(answered, whoami)
		return
	}
	if err.Error() != "403 M_USER_DEACTIVATED" || whoami == nil || whoami.Error() != "401 M_UNKNOWN_TOKEN" {
		v.t.Fatalf("half: login says %v, the token %v\n%s", err, whoami, p.log())
	}
	for end := time.Now().Add(time.Minute); !v.done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			v.t.Fatalf("the ending does not finish\n%s", p.log())
		}
	}
	if left := v.ids.Bound(); len(left) != 0 {
		v.t.Errorf("done, and still bound: %v", left)
	}
	if strings.Contains(p.log(), "panic") {
		v.t.Errorf("the server panicked:\n%s", p.log())
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	v.nothingLeft()
}

func (v *victim) untouched(answered bool, whoami error) {
	v.t.Helper()
	if answered || whoami != nil {
		v.t.Errorf("the account can log in; the answer came: %v, its token: %v", answered, whoami)
	}
	if list, err := operator(v.t, filepath.Join(v.dir, "admin.sock"), "/_lethe/admin/v1/deactivations"); err != nil ||
		len(list["deactivations"].([]any)) != 0 { //nolint:forcetypeassert // the API's own shape
		v.t.Errorf("the account can log in and has endings: %v, %v", list, err)
	}
	if got := v.ids.Bound(); len(got) != 1 {
		v.t.Errorf("untouched, and bound are %v", got)
	}
}

// nothingLeft looks at the database of a stopped server.
func (v *victim) nothingLeft() {
	v.t.Helper()
	db := storagetest.Open(v.t, v.db)
	view(v.t, db, func(tx *storage.Tx) error {
		for _, table := range append(slices.Clone(hstest.CredentialTables), "devices", "connections", "threepids", "threepid_bindings", "profile_fields") {
			n, err := tx.CountPersonal(table, matrix.UserID(v.who.UserID))
			if err != nil {
				return err
			}
			if n != 0 {
				v.t.Errorf("%d rows are left in %s", n, table)
			}
		}
		list, err := tx.Deactivations(matrix.UserID(v.who.UserID), "", "", 10)
		if err != nil {
			return err
		}
		if len(list) != 1 || !bytes.Contains(list[0].Receipt, []byte(`"complete":true`)) {
			v.t.Errorf("%d endings, the receipt is %s", len(list), list[0].Receipt)
		}
		for _, figure := range []string{`"rooms":2`, `"invites":1`, `"messages":1`, `"kept":{"messages":1,"rooms":1}`} {
			if !bytes.Contains(list[0].Receipt, []byte(figure)) {
				v.t.Errorf("the receipt has no %s: %s", figure, list[0].Receipt)
			}
		}
		return v.nothingLeftInRooms(tx)
	})
}

// nothingLeftInRooms: each was left by one event, without power, and forgotten,
// and what nobody may read is gone.
func (v *victim) nothingLeftInRooms(tx *storage.Tx) error {
	for _, room := range []string{v.rooms.shared, v.rooms.alone, v.rooms.invited} {
		events, err := tx.Timeline(matrix.RoomID(room), 0, 1<<60, 1000)
		if err != nil {
			return err
		}
		leaves, powerless := 0, room == v.rooms.invited
		for _, e := range events {
			if key, _ := e.StateKey(); e.Type() == "m.room.member" && key == v.who.UserID && bytes.Contains(e.Content(), []byte(`"leave"`)) {
				leaves++
			}
			powerless = powerless || e.Type() == "m.room.power_levels" && !bytes.Contains(e.Content(), []byte(v.who.UserID))
		}
		m, err := tx.Membership(matrix.RoomID(room), matrix.UserID(v.who.UserID))
		if err != nil {
			return err
		}
		if leaves != 1 || !powerless || m.Membership != "leave" || !m.Forgotten {
			v.t.Errorf("%s: %d leaves, without power: %v, %+v", room, leaves, powerless, m)
		}
	}
	for id, whole := range map[string]bool{v.rooms.kept: true, v.rooms.gone: false} {
		e, err := tx.Event(id)
		if err != nil {
			return err
		}
		if bytes.Contains(e.JSON(), []byte(planted)) != whole {
			v.t.Errorf("of the message that should be whole: %v, there is %s", whole, e.JSON())
		}
	}
	return nil
}

// operator asks the server's socket.
func operator(t *testing.T, socket, path string) (answer object, err error) {
	t.Helper()
	client := &http.Client{Transport: unixTransport(socket), Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://operator"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return answer, json.UnmarshalRead(resp.Body, &answer)
}

// unixTransport reaches a socket whatever the URL says.
func unixTransport(socket string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
}
