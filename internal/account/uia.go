package account

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// The stages of user-interactive authentication that this server knows (CS API,
// Authentication types).
const (
	StagePassword          = "m.login.password"
	StageDummy             = "m.login.dummy"
	StageRegistrationToken = "m.login.registration_token"
	StageTerms             = "m.login.terms"
	StageEmail             = "m.login.email.identity"
	StageMSISDN            = "m.login.msisdn"
)

// Flow is a list of stages that together are enough.
type Flow struct {
	Stages []string `json:"stages"`
}

// UIARequest is one round of user-interactive authentication.
type UIARequest struct {
	// Endpoint is what the authentication is for: method and path, with `v3` for
	// `r0`. A session is good for one endpoint.
	Endpoint string
	// Requester is the bearer of the access token, nil without one. A session is
	// good for one user and device.
	Requester *Requester
	Flows     []Flow
	Params    map[string]any
	// Auth is the request's `auth`, nil where there is none.
	Auth jsontext.Value
	// Stored is what the endpoint wants to remember of this round's request; what
	// a later round gives replaces it, what it omits stays.
	Stored map[string]jsontext.Value
}

// Challenge is the answer to a round that was not enough. It is an error to the
// caller, and the body of a 401 to the client, every time with all of its keys
// (CLIENTS, UIA).
type Challenge struct {
	Session   string         `json:"session"`
	Flows     []Flow         `json:"flows"`
	Params    map[string]any `json:"params"`
	Completed []string       `json:"completed"`
	Code      matrix.Code    `json:"errcode,omitzero"`
	Message   string         `json:"error,omitzero"`
}

// Error is for the log.
func (c *Challenge) Error() string { return "user-interactive authentication: not complete" }

// Authorized is the proof that a flow is complete.
type Authorized struct {
	// Subject is whom a stage proved the requester to be, "" if none does.
	Subject matrix.UserID
	// Stored is what the rounds of this session gave.
	Stored map[string]jsontext.Value
	// Threepids are the addresses that stages proved.
	Threepids []ProvenThreepid

	service           *Service
	session           *storage.Hash // nil: there was no session
	completed         map[string]stageResult
	registrationToken string
}

// Done tells whether stage is among those that were completed.
func (a *Authorized) Done(stage string) bool { _, ok := a.completed[stage]; return ok }

// ProvenThreepid is an address that its owner has validated.
type ProvenThreepid struct {
	matrix.Threepid
	ValidatedAt matrix.Timestamp
	SID         string
}

// Consume ends the session, in the transaction of what it authorises: it works
// once.
func (a *Authorized) Consume(tx *storage.Tx) error {
	if a.session != nil {
		ours, err := tx.TakeUIASession(*a.session)
		if err != nil {
			return err
		}
		if !ours {
			return matrix.Errorf(matrix.CodeForbidden, "This authentication session was used already.")
		}
	}
	if a.registrationToken != "" {
		if _, err := a.service.lockUsableToken(tx, a.registrationToken); err != nil {
			return err
		}
		if err := tx.UseRegistrationToken(a.registrationToken); err != nil {
			return err
		}
	}
	for _, pid := range a.Threepids {
		if err := tx.DropValidation(pid.SID); err != nil {
			return err
		}
	}
	return nil
}

// stageResult is what is kept of a completed stage.
type stageResult struct {
	Subject  matrix.UserID   `json:"subject,omitzero"`
	Threepid *ProvenThreepid `json:"threepid,omitzero"`
	Token    string          `json:"token,omitzero"`
}

// authData is the request's `auth` (CS API, User-interactive API in the REST
// API), with the keys of all stages.
type authData struct {
	Type       string         `json:"type"`
	Session    string         `json:"session"`
	Identifier *uiaIdentifier `json:"identifier"`
	User       string         `json:"user"` // deprecated; several clients send it
	Password   string         `json:"password"`
	Token      string         `json:"token"`
	Creds      *threepidCreds `json:"threepid_creds"`
	OldCreds   *threepidCreds `json:"threepidCreds"` // as older clients spell it
}

type uiaIdentifier struct {
	Type    string `json:"type"`
	User    string `json:"user"`
	Medium  string `json:"medium"`
	Address string `json:"address"`
	Country string `json:"country"`
	Phone   string `json:"phone"`
}

type threepidCreds struct {
	SID          string `json:"sid"`
	ClientSecret string `json:"client_secret"`
}

// round is one UIARequest on its way, with the session it belongs to.
type round struct {
	UIARequest
	auth    authData
	session storage.UIASession
	id      string // the session's, "" while there is none
	done    map[string]stageResult
	stored  map[string]jsontext.Value
}

// Authorize takes one round of user-interactive authentication (CS API,
// User-Interactive Authentication API). It returns an [Authorized] once a flow
// is complete, and a [*Challenge] as error while none is. A stage that fails
// keeps the session. Where the stage proves somebody other than the bearer of
// the token, it is 403 M_FORBIDDEN.
func (s *Service) Authorize(ctx context.Context, req UIARequest) (*Authorized, error) {
	r := &round{UIARequest: req, done: map[string]stageResult{}, stored: map[string]jsontext.Value{}}
	if req.Auth == nil {
		return nil, s.challenge(ctx, r, nil)
	}
	if req.Auth.Kind() != '{' || json.Unmarshal(req.Auth, &r.auth) != nil {
		return nil, matrix.Errorf(matrix.CodeBadJSON, "The auth object of the request does not have the shape of one.")
	}
	if r.auth.Session != "" {
		if err := s.resume(ctx, r); err != nil {
			return nil, err
		}
	}
	if r.auth.Type == "" {
		// The poll of a client whose user completes stages elsewhere.
		return s.conclude(ctx, r, nil)
	}
	if !r.offers(r.auth.Type) {
		return s.conclude(ctx, r, matrix.Errorf(matrix.CodeUnrecognized, "This request does not take a stage of that type."))
	}
	result, err := s.stage(ctx, r)
	if e := (*matrix.Error)(nil); errors.As(err, &e) {
		if e.Code == matrix.CodeUserDeactivated || e.Code == matrix.CodeLimitExceeded || e.Status != 0 {
			return nil, err
		}
		return s.conclude(ctx, r, e)
	}
	if err != nil {
		return nil, err
	}
	r.done[r.auth.Type] = result
	return s.conclude(ctx, r, nil)
}

// offers tells whether a stage is part of a flow.
func (r *round) offers(stage string) bool {
	return slices.ContainsFunc(r.Flows, func(f Flow) bool { return slices.Contains(f.Stages, stage) })
}

// complete tells whether all stages of a flow are done.
func (r *round) complete() bool {
	return slices.ContainsFunc(r.Flows, func(f Flow) bool {
		return !slices.ContainsFunc(f.Stages, func(stage string) bool { _, ok := r.done[stage]; return !ok })
	})
}

// resume finds the session that the client names. One that is not there, has
// expired, or is for another request is answered with a new one.
func (s *Service) resume(ctx context.Context, r *round) error {
	hash := storage.Hash(hashOf(r.auth.Session))
	var session storage.UIASession
	err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
		session, err = tx.UIASession(hash)
		return err
	})
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err != nil || session.ExpiresAt <= s.now() || !r.owns(session) {
		return s.challenge(ctx, r, matrix.Errorf(matrix.CodeForbidden,
			"This authentication session is not known, has expired, or is for another request."))
	}
	r.session, r.id = session, r.auth.Session
	if err := json.Unmarshal(session.Completed, &r.done); err != nil {
		return err
	}
	return json.Unmarshal(session.Stored, &r.stored)
}

// owns tells whether the session is for this endpoint, user and device.
func (r *round) owns(v storage.UIASession) bool {
	var who Requester
	if r.Requester != nil {
		who = *r.Requester
	}
	return v.Endpoint == r.Endpoint && v.UserID == who.UserID && v.DeviceID == who.DeviceID
}

// conclude ends a round: with a proof if a flow is complete, else with a
// challenge that tells what is still to do.
func (s *Service) conclude(ctx context.Context, r *round, failed *matrix.Error) (*Authorized, error) {
	if failed != nil || !r.complete() {
		return nil, s.challenge(ctx, r, failed)
	}
	if r.id != "" {
		// Others may have the same session: what is proved must be stored before it
		// counts, and a retry after a failure of the act finds it.
		if err := s.store(ctx, r); err != nil {
			return nil, err
		}
	} else {
		r.merge()
	}
	a := &Authorized{Stored: r.stored, service: s, completed: r.done}
	if r.id != "" {
		a.session = &r.session.Hash
	}
	for _, stage := range slices.Sorted(maps.Keys(r.done)) {
		result := r.done[stage]
		if result.Subject != "" {
			a.Subject = result.Subject
		}
		if result.Threepid != nil {
			a.Threepids = append(a.Threepids, *result.Threepid)
		}
		if result.Token != "" {
			a.registrationToken = result.Token
		}
	}
	return a, nil
}

// merge adds what this round wants to have remembered.
func (r *round) merge() {
	for key, value := range r.Stored {
		r.stored[key] = value
	}
}

// challenge stores the state of the round and returns the [*Challenge] for it,
// or what kept it from being stored.
func (s *Service) challenge(ctx context.Context, r *round, failed *matrix.Error) error {
	if r.id == "" {
		r.id = rand.Text()
		now := s.now()
		r.session = storage.UIASession{
			Hash: hashOf(r.id), Endpoint: r.Endpoint, CreatedAt: now, ExpiresAt: now.Add(s.opts.UIALifetime),
		}
		if r.Requester != nil {
			r.session.UserID, r.session.DeviceID = r.Requester.UserID, r.Requester.DeviceID
		}
	}
	if err := s.store(ctx, r); err != nil {
		return err
	}
	c := &Challenge{Session: r.id, Flows: r.Flows, Params: r.Params, Completed: slices.Sorted(maps.Keys(r.done))}
	if c.Params == nil {
		c.Params = map[string]any{}
	}
	if failed != nil {
		c.Code, c.Message = failed.Code, failed.Message
	}
	return c
}

// store writes the state of the session, joined with what another round may
// have written since this one read it.
func (s *Service) store(ctx context.Context, r *round) error {
	r.merge()
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		v := r.session
		if r.Requester != nil {
			// A session must not outlive the account: see lockLive.
			if _, err := s.lockLive(tx, r.Requester.UserID); err != nil {
				return err
			}
		}
		now, err := tx.LockUIASession(v.Hash)
		switch {
		case errors.Is(err, storage.ErrNotFound) && len(v.Completed) > 0:
			return matrix.Errorf(matrix.CodeForbidden, "This authentication session was used already.")
		case err == nil:
			others := map[string]stageResult{}
			if err := json.Unmarshal(now.Completed, &others); err != nil {
				return err
			}
			for stage, result := range others {
				r.done[stage] = result
			}
			v = now
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
		return s.put(tx, r, v)
	})
}

// put writes the session v with the state of r, and takes a use of the
// registration token that a stage named.
func (s *Service) put(tx *storage.Tx, r *round, v storage.UIASession) (err error) {
	for _, result := range r.done {
		if result.Subject != "" {
			v.Subject = result.Subject
			if _, err := s.lockLive(tx, v.Subject); err != nil {
				return err
			}
		}
		if result.Token != "" && v.RegistrationToken == "" {
			if _, err := s.lockUsableToken(tx, result.Token); err != nil {
				return err
			}
			v.RegistrationToken = result.Token
		}
	}
	if v.Completed, err = json.Marshal(r.done); err != nil {
		return err
	}
	if v.Stored, err = json.Marshal(r.stored); err != nil {
		return err
	}
	return tx.PutUIASession(v)
}
