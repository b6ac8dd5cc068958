package deactivation

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"

	"lethe/internal/account"
	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/identity"
	"lethe/internal/job"
	"lethe/internal/mail"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage"
)

// Options are the settings of a [Service].
type Options struct {
	ServerName matrix.ServerName
	Now        func() time.Time
	Log        *slog.Logger
	Key        event.SigningKey // signs receipts
	// Grace is how long an ending can be taken back; 0 for not at all.
	Grace time.Duration
	// UnbindWait is how long an answer waits for identity servers.
	UnbindWait time.Duration
	BaseURL    string       // for the link that takes an ending back
	Mail       *mail.Sender // may be nil
	// Ended is told of each ending, after its commit; nil for nobody.
	Ended func(user matrix.UserID, erase bool)
}

// Service ends accounts. It is safe for concurrent use.
type Service struct {
	db       *storage.DB
	jobs     *job.Runner
	accounts *account.Service
	identity *identity.Client
	rooms    *room.Service
	door     *door.Door
	opts     Options
	pace     pace
}

// New makes the service and registers its steps with the runner.
func New(
	db *storage.DB, jobs *job.Runner, accounts *account.Service, ids *identity.Client, rooms *room.Service,
	d *door.Door, opts Options,
) *Service {
	if opts.Ended == nil {
		opts.Ended = func(matrix.UserID, bool) {}
	}
	s := &Service{db: db, jobs: jobs, accounts: accounts, identity: ids, rooms: rooms, door: d, opts: opts}
	s.registerSteps()
	return s
}

// Actor is who ends an account, as the audit log and the receipt name them.
type Actor string

// The actors that are not a particular account.
const (
	Self     Actor = "self"
	Operator Actor = "operator" // on the command line of the server
)

// Admin is a server administrator.
func Admin(user matrix.UserID) Actor { return Actor("admin:" + string(user)) }

// Appservice is an application service, which may end its own users.
func Appservice(id string) Actor { return Actor(appservicePrefix + id) }

const appservicePrefix = "appservice:"

func (a Actor) appservice() bool { return strings.HasPrefix(string(a), appservicePrefix) }

// Request says whose account to end, and how.
type Request struct {
	User  matrix.UserID
	Erase bool
	// IDServer is where all identifiers are unbound, beside where they are known
	// to be bound; "" for only the latter.
	IDServer matrix.ServerName
	By       Actor
	// InTx runs in the transaction of the ending; may be nil.
	InTx func(*storage.Tx) error
}

// UnbindResult is the specification's id_server_unbind_result.
type UnbindResult string

// The two results (CS API, POST /account/deactivate).
const (
	Success   UnbindResult = "success"
	NoSupport UnbindResult = "no-support"
)

// Result is what the person who ended an account is told.
type Result struct {
	// ID names the ending. It cannot be guessed: who has it can see the receipt.
	ID     string
	Unbind UnbindResult
	// UndoUntil is the end of the grace period, 0 for none.
	UndoUntil matrix.Timestamp
	// Undo is the secret that takes the ending back, "" for none. It goes to the
	// operator or by mail, never to the client that ended the account.
	Undo string
}

var errEnded = matrix.Errorf(matrix.CodeUserDeactivated, "This account has been deactivated.")

// Deactivate ends an account (CS API, POST /account/deactivate; DESIGN §6). One
// transaction marks it, takes every credential, and stores the work that is
// left; of any number of calls at once one succeeds and the others are
// M_USER_DEACTIVATED. When it returns, nothing can act as this user. It waits a
// few seconds for identity servers, and never fails because of one.
func (s *Service) Deactivate(ctx context.Context, req Request) (Result, error) {
	d := storage.Deactivation{
		ID: rand.Text(), UserID: req.User, Erase: req.Erase, IDServer: req.IDServer,
		RequestedBy: string(req.By), State: storage.Running,
	}
	var undo string
	err := s.db.Update(ctx, func(tx *storage.Tx) (err error) {
		d.CreatedAt = s.now()
		undo, err = s.end(tx, &d, req)
		return err
	})
	s.accounts.Forget(req.User) // after an error too: a commit whose answer was lost may have happened
	if err != nil {
		return Result{}, err
	}
	s.opts.Ended(req.User, req.Erase)
	unbind := s.awaitUnbind(ctx, d)
	return Result{ID: d.ID, Unbind: unbind, UndoUntil: d.GraceUntil, Undo: undo}, nil
}

// end is the transaction of an ending.
func (s *Service) end(tx *storage.Tx, d *storage.Deactivation, req Request) (undo string, err error) {
	a, err := tx.LockAccount(d.UserID)
	if errors.Is(err, storage.ErrNotFound) {
		return "", matrix.Errorf(matrix.CodeNotFound, "There is no user %s on this server.", d.UserID)
	}
	if err != nil {
		return "", err
	}
	if err := allowed(a, req.By); err != nil {
		return "", err
	}
	if req.InTx != nil {
		if err := req.InTx(tx); err != nil {
			return "", err
		}
	}
	var erasedPos int64
	if d.Erase {
		if erasedPos, err = tx.NextPos(storage.Change{Kind: storage.ChangeErased, User: d.UserID}); err != nil {
			return "", err
		}
	}
	if first, err := tx.MarkDeactivated(d.UserID, d.CreatedAt, erasedPos); err != nil || !first {
		return "", cmp.Or(err, error(errEnded))
	}
	if s.opts.Grace > 0 {
		undo = s.grant(d, a.PasswordHash)
	}
	if err := tx.AddDeactivation(*d); err != nil {
		return "", err
	}
	if err := s.audit(tx, "account.deactivate", d); err != nil {
		return "", err
	}
	if err := s.dropCredentials(tx, *d, a); err != nil {
		return "", err
	}
	if d.State == storage.InGrace {
		return undo, s.enqueueGrace(tx, *d)
	}
	return "", s.enqueueSteps(tx, *d)
}

// allowed says who may end which account (DESIGN §6).
func allowed(a storage.Account, by Actor) error {
	switch {
	case a.DeactivatedAt != 0:
		return errEnded
	case by.appservice() && by != Appservice(a.AppserviceID):
		// It may act as users of its namespaces whom it did not register, people of
		// a shared one say; to end them it would have to be them.
		return matrix.Errorf(matrix.CodeForbidden, "An application service ends only accounts that it has registered itself.")
	case by != Self:
		return nil
	case a.Kind == storage.KindGuest:
		return matrix.Errorf(matrix.CodeGuestAccessForbidden, "Guests have no account to deactivate.")
	case a.LockedAt != 0:
		e := *matrix.Errorf(matrix.CodeUserLocked, "This account has been locked.")
		e.SoftLogout = true // CS API, Account locking
		return &e
	}
	return nil
}

// credentials are the tables of what someone could act with. They are emptied in
// the transaction of the ending (DESIGN §2, promise 1).
var credentials = []string{
	"access_tokens", "refresh_tokens", "login_tokens", "openid_tokens", "uia_sessions", "validation_sessions",
}

// noLimit is for what has to go in one transaction.
const noLimit = 1 << 30

func (s *Service) dropCredentials(tx *storage.Tx, d storage.Deactivation, a storage.Account) error {
	for _, table := range credentials {
		if err := s.remove(tx, d, table); err != nil {
			return err
		}
	}
	if a.PasswordHash != "" && d.State != storage.InGrace {
		return tx.AddCount(d.ID, passwordCategory, 1)
	}
	return nil
}

// remove deletes all rows of the person in a table, and counts them.
func (s *Service) remove(tx *storage.Tx, d storage.Deactivation, table string) error {
	n, err := tx.DeletePersonal(table, d.UserID, noLimit)
	if err != nil {
		return err
	}
	return tx.AddCount(d.ID, categoryOf(table), n)
}

func (s *Service) audit(tx *storage.Tx, action string, d *storage.Deactivation) error {
	detail := `{"erase":false}`
	if d.Erase {
		detail = `{"erase":true}`
	}
	return tx.AddAudit(storage.Audit{
		At: s.now(), Actor: d.RequestedBy, Action: action, Target: d.UserID, Detail: detail,
	})
}

func (s *Service) now() matrix.Timestamp { return matrix.TimestampOf(s.opts.Now()) }

// awaitUnbind waits until the unbind jobs of an ending have succeeded, or it is
// clear that they will not soon.
func (s *Service) awaitUnbind(ctx context.Context, d storage.Deactivation) UnbindResult {
	s.jobs.Wake()
	ctx, cancel := context.WithTimeout(ctx, s.opts.UnbindWait)
	defer cancel()
	for {
		ended := s.jobs.Ended()
		done, hopeless, err := s.unbound(ctx, d)
		if done {
			return Success
		}
		if hopeless || err != nil {
			return NoSupport
		}
		select {
		case <-ended:
		case <-time.After(job.LookAgain):
		case <-ctx.Done():
			return NoSupport
		}
	}
}

// unbound tells whether nothing of the person is bound any more, as far as is
// known: no unbind job is left, of this ending or of an earlier one of an account
// that was reactivated. hopeless tells whether all that are left have failed, or are
// not due.
func (s *Service) unbound(ctx context.Context, d storage.Deactivation) (done, hopeless bool, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		done, hopeless = true, true
		if d.State == storage.InGrace {
			// Nothing is unbound while the ending can be taken back.
			targets, err := s.targets(tx, d)
			if err != nil {
				return err
			}
			done = len(targets) == 0
		}
		left, err := unbinds(tx, d.UserID)
		for _, j := range left {
			done = false
			hopeless = hopeless && (j.LastError != "" || j.RunAt > s.now())
		}
		return err
	})
	return done, hopeless && !done, err
}

// unbinds are the unbind jobs that are left of all endings of user.
func unbinds(tx *storage.Tx, user matrix.UserID) (left []storage.Job, err error) {
	endings, err := tx.Deactivations(user, "", "", maxEndings)
	if err != nil {
		return nil, err
	}
	for _, ending := range endings {
		jobs, err := tx.JobsOf(ending.ID)
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			if j.Kind == kindUnbind && !j.Done {
				left = append(left, j)
			}
		}
	}
	return left, nil
}

// target is what an ending unbinds.
type target struct {
	unbindTarget
	// notBefore is when a request to bind that was under way has come out; zero
	// where none was.
	notBefore time.Time
}

// targets are where which identifiers are unbound.
func (s *Service) targets(tx *storage.Tx, d storage.Deactivation) (targets []target, err error) {
	bindings, err := tx.Bindings(d.UserID)
	if err != nil {
		return nil, err
	}
	seen := map[unbindTarget]bool{}
	add := func(t target) {
		if !seen[t.unbindTarget] {
			seen[t.unbindTarget] = true
			targets = append(targets, t)
		}
	}
	for _, b := range bindings {
		t := target{unbindTarget: unbindTarget{b.Medium, b.Address, b.IDServer}}
		if b.SettledAt == 0 {
			t.notBefore = b.BoundAt.Add(account.BindTime).Time()
		}
		add(t)
	}
	if d.IDServer == "" {
		return targets, nil
	}
	for _, b := range bindings {
		add(target{unbindTarget: unbindTarget{b.Medium, b.Address, d.IDServer}})
	}
	threepids, err := tx.Threepids(d.UserID)
	for _, t := range threepids {
		add(target{unbindTarget: unbindTarget{t.Medium, t.Address, d.IDServer}})
	}
	return targets, err
}

// stepTarget is what a receipt says of a job's key: the identity server.
func stepTarget(j storage.Job) string {
	_, server, _ := strings.Cut(j.UniqueKey, "@")
	return server
}
