package account

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	// maxUIASessions is how many sessions a user has at once; the oldest give way.
	// Those of nobody known are limited by address, in the API.
	maxUIASessions = 64
	// maxUIAStored bounds what a session remembers of requests, in bytes.
	maxUIAStored = 16 << 10
)

var (
	// errSessionGone is answered with a 401 that has a new session: the client can
	// begin anew without losing its place.
	errSessionGone = matrix.Errorf(matrix.CodeForbidden,
		"This authentication session is not known, was used, has expired, or is for another request.")
	errOtherUser = matrix.Errorf(matrix.CodeForbidden,
		"The authentication is for another user than the access token, or than the stages before.").
		WithStatus(http.StatusForbidden)
)

// newSecret is a name that cannot be guessed: 32 random bytes.
func newSecret() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// resume finds the session that the client names. It fails for one that is not
// there, has expired, or is for another request; the round goes on without it.
func (s *Service) resume(ctx context.Context, r *round) (failed *matrix.Error, err error) {
	r.begin()
	if r.auth.Session == "" {
		return nil, nil //nolint:nilnil // it did not fail
	}
	v, err := s.uiaSession(ctx, r.auth.Session)
	if err == nil && !r.owns(v) {
		err = errSessionGone
	}
	if errors.Is(err, errSessionGone) {
		return errSessionGone, nil
	}
	if err != nil {
		return nil, err
	}
	r.session, r.id = &v, r.auth.Session
	r.state, err = stateOf(v)
	return nil, err
}

// begin forgets any session.
func (r *round) begin() {
	r.session, r.id, r.result = nil, "", nil
	r.state = uiaState{Done: map[string]stageResult{}, Stored: maps.Clone(r.Stored)}
}

// uiaSession returns a session that is there and has not expired.
func (s *Service) uiaSession(ctx context.Context, id string) (v storage.UIASession, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		v, err = tx.UIASession(hashOf(id))
		return err
	})
	if errors.Is(err, storage.ErrNotFound) || err == nil && v.ExpiresAt <= s.now() {
		err = errSessionGone
	}
	return v, err
}

// UIASessionLives tells whether there is a session of this id.
func (s *Service) UIASessionLives(ctx context.Context, id string) (bool, error) {
	_, err := s.uiaSession(ctx, id)
	if errors.Is(err, errSessionGone) {
		return false, nil
	}
	return err == nil, err
}

func stateOf(v storage.UIASession) (st uiaState, err error) {
	if err := json.Unmarshal(v.Completed, &st.Done); err != nil {
		return st, err
	}
	return st, json.Unmarshal(v.Stored, &st.Stored)
}

// owns tells whether the session is for this endpoint, user and device.
func (r *round) owns(v storage.UIASession) bool {
	var who Requester
	if r.Requester != nil {
		who = *r.Requester
	}
	return v.Endpoint == r.Endpoint && v.UserID == who.UserID && v.DeviceID == who.DeviceID
}

// store writes what this round brought, joined with what others wrote since it
// read the session; without a session it makes one. If the session was used
// meanwhile the round fails, with a new one. What is proved is stored before it
// counts: a retry after a failure of the act finds it.
func (s *Service) store(ctx context.Context, r *round, failed *matrix.Error) (*matrix.Error, error) {
	lost, state := false, uiaState{}
	if r.session == nil {
		r.id = newSecret()
		r.session = s.newUIASession(r)
		err := s.db.Update(ctx, func(tx *storage.Tx) error {
			if err := s.lockUIAUsers(tx, r); err != nil {
				return err
			}
			if err := tx.TrimUIASessions(r.session.UserID, maxUIASessions-1); err != nil {
				return err
			}
			return s.put(tx, r, *r.session, r.state)
		})
		return failed, err
	}
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if err := s.lockUIAUsers(tx, r); err != nil {
			return err
		}
		v, err := tx.LockUIASession(r.session.Hash)
		if lost = errors.Is(err, storage.ErrNotFound); lost || err != nil {
			return ignore(err, storage.ErrNotFound)
		}
		if state, err = stateOf(v); err != nil {
			return err
		}
		if state.Stored == nil {
			state.Stored = map[string]jsontext.Value{}
		}
		maps.Copy(state.Stored, r.Stored)
		if r.result != nil {
			state.Done[r.auth.Type] = *r.result
		}
		return s.put(tx, r, v, state)
	})
	if err != nil {
		return nil, err
	}
	if lost {
		r.begin()
		return s.store(ctx, r, errSessionGone)
	}
	r.state = state
	return failed, nil
}

func ignore(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}

func (s *Service) newUIASession(r *round) *storage.UIASession {
	now := s.now()
	v := &storage.UIASession{
		Hash: hashOf(r.id), Endpoint: r.Endpoint, CreatedAt: now, ExpiresAt: now.Add(s.opts.UIALifetime),
	}
	if r.Requester != nil {
		v.UserID, v.DeviceID = r.Requester.UserID, r.Requester.DeviceID
	}
	return v
}

// uiaOffer is what a session was offered last: its fallback pages need it.
type uiaOffer struct {
	Flows []Flow   `json:"flows"`
	Terms []Policy `json:"terms,omitzero"`
}

// put writes a session with its new state. The session holds a use of the
// registration token that a stage named, for as long as it lives.
func (s *Service) put(tx *storage.Tx, r *round, v storage.UIASession, state uiaState) (err error) {
	for _, result := range state.Done {
		if result.Subject != "" {
			if v.Subject != "" && v.Subject != result.Subject {
				return errOtherUser
			}
			v.Subject = result.Subject
		}
		if result.Token != "" && v.RegistrationToken == "" {
			if err := s.lockUsableToken(tx, result.Token); err != nil {
				return err
			}
			v.RegistrationToken = result.Token
		}
	}
	if v.Completed, err = json.Marshal(state.Done); err != nil {
		return err
	}
	if v.Stored, err = json.Marshal(state.Stored); err != nil {
		return err
	}
	if len(v.Stored) > maxUIAStored {
		return matrix.Errorf(matrix.CodeTooLarge, "The request has more than this server keeps until you have authenticated.")
	}
	if v.Offer, err = json.Marshal(uiaOffer{r.Flows, r.Terms}); err != nil {
		return err
	}
	return tx.PutUIASession(v)
}

// lockUIAUsers makes sure that no session outlives the account that it is for,
// or that a stage proved: see lockLive. Accounts are locked before sessions, as
// an ending does it.
func (s *Service) lockUIAUsers(tx *storage.Tx, r *round) error {
	if r.Requester != nil {
		_, err := s.lockLive(tx, r.Requester.UserID)
		switch matrix.CodeOf(err) {
		case matrix.CodeUserDeactivated, matrix.CodeForbidden:
			// With the account its tokens went, this requester's among them.
			return errUnknownToken
		}
		return err
	}
	for _, result := range r.state.Done {
		if result.Subject == "" {
			continue
		}
		if _, err := s.lockLive(tx, result.Subject); err != nil {
			return s.hide(err)
		}
	}
	return nil
}
