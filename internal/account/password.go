package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"lethe/internal/matrix"
)

// Argon2 are the parameters of argon2id. The zero value is not usable.
type Argon2 struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

const (
	saltLength = 16
	hashLength = 32
	// hashQueue is how many callers may wait for each that hashes; more are told
	// to come back later.
	hashQueue = 32
	// busyRetry is when they should.
	busyRetry = 2 * time.Second
)

// hasher hashes and checks passwords, a few at a time: each takes MemoryKiB and
// a core, so a storm of logins waits in line and takes neither all the memory
// nor all the cores.
type hasher struct {
	params Argon2
	slots  chan struct{}
	queue  chan struct{}
	// dummy is a hash of nothing, checked where there is no account, so that the
	// time an answer takes does not tell who has one.
	dummy string
}

func newHasher(params Argon2, concurrency int) *hasher {
	h := &hasher{params: params, slots: make(chan struct{}, concurrency), queue: make(chan struct{}, concurrency*(1+hashQueue))}
	h.dummy = params.encode(make([]byte, saltLength), make([]byte, hashLength))
	return h
}

// enter waits for a slot and returns the function that gives it back.
func (h *hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.queue <- struct{}{}:
	default:
		e := matrix.Errorf(matrix.CodeLimitExceeded, "Too many people are signing in right now. Try again in a moment.")
		e.RetryAfter = busyRetry
		return nil, e
	}
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots; <-h.queue }, nil
	case <-ctx.Done():
		<-h.queue
		return nil, ctx.Err()
	}
}

// hash returns the PHC string of password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails
	return h.params.encode(salt, h.params.key(password, salt, hashLength)), nil
}

// check tells whether password is the one that stored was made of, and whether
// stored should be replaced by a fresh hash. An empty stored hash takes as long
// and never matches.
func (h *hasher) check(ctx context.Context, stored, password string) (match, stale bool, err error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	if stored == "" {
		_, _, err := h.verify(h.dummy, password)
		return false, false, err
	}
	return h.verify(stored, password)
}

func (h *hasher) verify(stored, password string) (match, stale bool, err error) {
	if strings.HasPrefix(stored, "$2") {
		// From another server: bcrypt looks at 72 bytes at most, as that server did.
		err := bcrypt.CompareHashAndPassword([]byte(stored), []byte(password[:min(len(password), 72)]))
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, false, nil
		}
		return err == nil, true, err
	}
	params, salt, key, err := parsePHC(stored)
	if err != nil {
		return false, false, err
	}
	match = subtle.ConstantTimeCompare(params.key(password, salt, len(key)), key) == 1
	return match, params != h.params, nil
}

func (p Argon2) key(password string, salt []byte, length int) []byte {
	return argon2.IDKey([]byte(password), salt, p.Time, p.MemoryKiB, p.Threads, uint32(length)) //nolint:gosec // at most 128
}

// encode writes the PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func (p Argon2) encode(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		p.MemoryKiB, p.Time, p.Threads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// The limits of parameters in a stored hash: a row of the database cannot make
// a login take all the memory.
const (
	maxMemoryKiB = 1 << 20
	maxTime      = 32
)

func parsePHC(s string) (p Argon2, salt, key []byte, err error) {
	bad := errors.New("a stored password hash is in no known form")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Time, &p.Threads); err != nil {
		return p, nil, nil, bad
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(key) == 0 || len(key) > 128 ||
		p.Time == 0 || p.Threads == 0 || p.Time > maxTime || p.MemoryKiB > maxMemoryKiB {
		return p, nil, nil, bad
	}
	return p, salt, key, nil
}

// CheckNewPassword refuses a password that is too short or too long (CS API,
// M_WEAK_PASSWORD).
func (s *Service) CheckNewPassword(password string) error {
	if n := len([]rune(password)); n < s.opts.PasswordMinLength {
		return matrix.Errorf(matrix.CodeWeakPassword, "The password needs at least %d characters.", s.opts.PasswordMinLength)
	}
	if len(password) > s.opts.PasswordMaxLength {
		return matrix.Errorf(matrix.CodeWeakPassword, "The password may have at most %d bytes.", s.opts.PasswordMaxLength)
	}
	return nil
}
