package account

import (
	"context"
	"errors"
	"hash/maphash"
	"sync/atomic"

	"lethe/internal/cache"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Requester is who a request comes from.
type Requester struct {
	UserID    matrix.UserID
	DeviceID  string // "" for an application service without one
	Guest     bool
	Admin     bool
	Locked    bool
	Suspended bool
	// Appservice is the id of the application service that acts, "" for none.
	Appservice string
}

// cached is a Requester in the token cache, with when its token expires, the
// epoch of its user when the session was read, and the term in which this process
// was alone then ([storage.DB.Alone]).
type cached struct {
	Requester
	expires matrix.Timestamp // 0: never
	epoch   uint64
	term    uint64 // 0: it was not alone
}

const (
	// cacheSize bounds the token cache; an entry takes about 300 bytes.
	cacheSize = 100_000
	// missSize bounds what is remembered of well-formed tokens that are none.
	missSize = 10_000
	// epochStripes is how many epochs there are; users share them by hash, which
	// costs a query now and then and bounds the memory.
	epochStripes = 4096
)

// tokenCache answers token checks without a query. Its one danger is to know a
// token that has ended, also when a reader read the session just before it
// ended and stores it just after. So each user has an epoch, which moves when
// something of theirs ends; a reader notes it before it reads, and an entry of
// an older epoch is none. What another process ends moves no epoch here: so an
// entry answers only while this process is alone, and in the term in which it was
// read.
type tokenCache struct {
	hits   *cache.Cache[tokenHash, cached]
	misses *cache.Cache[tokenHash, struct{}]
	seed   maphash.Seed
	epochs [epochStripes]atomic.Uint64
}

func newTokenCache() *tokenCache {
	return &tokenCache{
		hits:   cache.New(cache.Options[tokenHash, cached]{Size: cacheSize}),
		misses: cache.New(cache.Options[tokenHash, struct{}]{Size: missSize}),
		seed:   maphash.MakeSeed(),
	}
}

func (c *tokenCache) epoch(user matrix.UserID) *atomic.Uint64 {
	return &c.epochs[maphash.String(c.seed, string(user))%epochStripes]
}

func (c *tokenCache) get(token tokenHash) (cached, bool) {
	v, ok := c.hits.Get(token)
	return v, ok && v.epoch == c.epoch(v.UserID).Load()
}

// Forget makes the next check of each token of user ask the database. Whoever
// ended a session, or changed what an account may do, calls it after the commit
// and before the answer, also where the transaction failed: of a commit whose
// answer was lost nobody knows.
func (s *Service) Forget(user matrix.UserID) {
	s.tokens.epoch(user).Add(1)
	if s.opts.Forgotten != nil {
		s.opts.Forgotten(user)
	}
}

var errUnknownToken = matrix.Errorf(matrix.CodeUnknownToken, "This access token is not known, or its session has ended.")

// answer is get where the entry may be relied on.
func (s *Service) answer(token tokenHash) (cached, bool) {
	term, alone := s.db.Alone()
	v, ok := s.tokens.get(token)
	return v, ok && alone && v.term == term
}

// Authenticate tells who an access token stands for. A token that never was, or
// whose session has ended, is 401 M_UNKNOWN_TOKEN; one that has expired but
// could be refreshed has soft_logout with it (CS API, Soft logout). Whether a
// locked account may do what it asks for is the caller's decision.
//
// When warm it makes no query while this process has the database alone, and one
// when others have it too; a string that cannot be a token never does.
func (s *Service) Authenticate(ctx context.Context, token string) (Requester, error) {
	hash, ok := parseToken(accessToken, token)
	if !ok {
		s.opts.TokenChecked("refused")
		return Requester{}, errUnknownToken
	}
	if v, ok := s.answer(hash); ok {
		s.opts.TokenChecked("cached")
		return s.unexpired(v)
	}
	if _, ok := s.tokens.misses.Get(hash); ok {
		s.opts.TokenChecked("refused")
		return Requester{}, errUnknownToken
	}
	v, err := s.readSession(ctx, hash)
	if errors.Is(err, storage.ErrNotFound) {
		// Tokens are random: one that is unknown now is never given out later, by no
		// process.
		s.tokens.misses.Set(hash, struct{}{})
		s.opts.TokenChecked("refused")
		return Requester{}, errUnknownToken
	}
	if err != nil {
		return Requester{}, err
	}
	s.opts.TokenChecked("read")
	return s.unexpired(v)
}

// Remember tells, without a query, whether token is one of a session that was
// used not long ago. It is not known of a token that might be one. Where several
// processes have the database, another may have ended it since: it is for rate
// limits.
func (s *Service) Remember(token string) (alive, known bool) {
	hash, ok := parseToken(accessToken, token)
	if !ok {
		return false, true
	}
	if _, ok := s.tokens.get(hash); ok {
		return true, true
	}
	_, ok = s.tokens.misses.Get(hash)
	return false, ok
}

func (s *Service) unexpired(v cached) (Requester, error) {
	if v.expires != 0 && v.expires <= s.now() {
		e := *errUnknownToken
		e.Message, e.SoftLogout = "This access token has expired.", true
		return Requester{}, &e
	}
	return v.Requester, nil
}

// readSession reads a session and puts it into the cache. The epoch is that of
// the session's user, who is known only after a first read: so it reads twice,
// unless the entry will answer nothing.
func (s *Service) readSession(ctx context.Context, token tokenHash) (cached, error) {
	term, alone := s.db.Alone()
	if !alone {
		term = 0
	}
	session, err := s.session(ctx, token)
	if err != nil {
		return cached{}, err
	}
	retired := session.Retires != nil
	if retired {
		// The first use of a refreshed token ends the old one (CS API, POST
		// /refresh).
		err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.RetireToken(token, session.Retires) })
		if err != nil {
			return cached{}, err
		}
		s.Forget(session.UserID)
	}
	epoch := s.tokens.epoch(session.UserID).Load()
	if alone || retired {
		if session, err = s.session(ctx, token); err != nil {
			return cached{}, err
		}
	}
	v := cached{
		Requester: requesterOf(session.Account, session.DeviceID), expires: session.ExpiresAt, epoch: epoch, term: term,
	}
	s.tokens.hits.Set(token, v)
	return v, nil
}

func (s *Service) session(ctx context.Context, token tokenHash) (session storage.Session, err error) {
	err = s.db.Look(ctx, func(tx *storage.Tx) (err error) {
		session, err = tx.Session(token)
		return err
	})
	return session, err
}

func requesterOf(a storage.Account, device string) Requester {
	return Requester{
		UserID: a.UserID, DeviceID: device, Guest: a.Kind == storage.KindGuest, Admin: a.Admin,
		Locked: a.LockedAt != 0, Suspended: a.SuspendedAt != 0,
	}
}

// RequesterOf is whom an application service acts as, or M_FORBIDDEN if there
// is no such account.
func (s *Service) RequesterOf(ctx context.Context, user matrix.UserID, device, appservice string) (Requester, error) {
	a, err := s.Account(ctx, user)
	if err != nil || a.DeactivatedAt != 0 {
		if err == nil || matrix.CodeOf(err) == matrix.CodeNotFound {
			err = matrix.Errorf(matrix.CodeForbidden, "The application service has not registered the user %s.", user)
		}
		return Requester{}, err
	}
	who := requesterOf(a, device)
	who.Appservice = appservice
	return who, nil
}
