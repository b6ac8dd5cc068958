package account

import (
	"context"
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

// Flow is a list of stages that together, in their order, are enough.
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
	// Terms are the policies that [StageTerms], if a flow has it, is about.
	Terms  []Policy
	Params map[string]any
	// Auth is the request's `auth`, nil where there is none.
	Auth jsontext.Value
	// Stored is what the endpoint wants to remember of this round's request; what
	// a later round gives replaces it, what it omits stays.
	Stored map[string]jsontext.Value
}

// Challenge is the answer to a round that was not enough. It is an error to the
// caller, and the body of a 401 to the client, every time with all of its keys
// (CLIENTS, UIA). Code and Message are there when a stage failed.
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

	service   *Service
	session   *storage.Hash // nil: there was no session
	completed map[string]stageResult
	refused   Challenge // what Consume answers with
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
// once, and is a [*Challenge] when the session was used already.
func (a *Authorized) Consume(tx *storage.Tx) error {
	// Before the session: accounts are locked first, as an ending does it.
	if proved := a.completed[StagePassword]; proved.Subject != "" {
		err := PasswordProof{proved.Subject, proved.Password}.Holds(tx)
		if errors.Is(err, errWrongPassword) {
			return a.refuse(err)
		}
		if err != nil {
			return err
		}
	}
	if a.session != nil {
		ours, err := tx.TakeUIASession(*a.session)
		if err != nil {
			return err
		}
		if !ours {
			return a.refuse(errSessionGone)
		}
	}
	if token := a.completed[StageRegistrationToken].Token; token != "" {
		if err := a.service.lockUsableToken(tx, token); err != nil {
			return a.refuse(err)
		}
		if err := tx.UseRegistrationToken(token); err != nil {
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

// refuse makes a challenge of an error that the requester can do something
// about. It names the session that is gone: a client that goes on with it is
// given a new one.
func (a *Authorized) refuse(err error) error {
	var e *matrix.Error
	if !errors.As(err, &e) {
		return err
	}
	c := a.refused
	c.Code, c.Message = e.Code, e.Message
	return &c
}

// AcceptTerms records, in the transaction that creates user, which policies the
// stage was about.
func (a *Authorized) AcceptTerms(tx *storage.Tx, user matrix.UserID) error {
	for _, p := range a.completed[StageTerms].Terms {
		if err := tx.AcceptTerms(user, p.ID, p.Version, a.service.now()); err != nil {
			return err
		}
	}
	return nil
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

// threepidCreds names a validation session; id_server and id_access_token are
// passed over, since this server validates addresses itself.
type threepidCreds struct {
	SID          string `json:"sid"`
	ClientSecret string `json:"client_secret"`
}

// parseAuth reads `auth`. Some clients send null for none.
func parseAuth(raw jsontext.Value) (auth authData, err error) {
	bad := matrix.Errorf(matrix.CodeBadJSON, "The auth object of the request does not have the shape of one.")
	switch raw.Kind() {
	case 0, 'n':
		return auth, nil
	case '{':
		if err := json.Unmarshal(raw, &auth); err != nil {
			return auth, bad.Because(err)
		}
		return auth, nil
	}
	return auth, bad
}

// Authorize takes one round of user-interactive authentication (CS API,
// User-Interactive Authentication API). It returns an [Authorized] once a flow
// is complete, and a [*Challenge] as error while none is. A stage that fails
// keeps the session. A flow of one stage can be completed without a session.
// Where a stage proves somebody other than the bearer of the token, or than
// another stage did, it is 403 M_FORBIDDEN.
func (s *Service) Authorize(ctx context.Context, req UIARequest) (*Authorized, error) {
	auth, err := parseAuth(req.Auth)
	if err != nil {
		return nil, err
	}
	r := &round{UIARequest: req, auth: auth}
	failed, err := s.resume(ctx, r)
	if err != nil {
		return nil, err
	}
	if failed == nil && auth.Type != "" {
		if failed, err = s.attempt(ctx, r); err != nil {
			return nil, err
		}
	}
	if failed == nil && r.session == nil && r.complete() {
		return r.authorized(s), nil
	}
	failed, err = s.store(ctx, r, failed)
	if errors.Is(err, errBadRegToken) {
		// Another session took its last use since the stage looked.
		delete(r.state.Done, StageRegistrationToken)
		r.result = nil
		failed, err = s.store(ctx, r, errBadRegToken)
	}
	if err != nil {
		return nil, err
	}
	if failed == nil && r.complete() {
		return r.authorized(s), nil
	}
	return nil, r.challenge(failed)
}

var errNotOffered = matrix.Errorf(matrix.CodeUnrecognized, "This request does not take a stage of that type, or not yet.")

// attempt tries the stage of this round. What it returns first is why the stage
// failed in a way that the client may do better.
func (s *Service) attempt(ctx context.Context, r *round) (failed *matrix.Error, err error) {
	stage := r.auth.Type
	if _, ok := r.state.Done[stage]; ok {
		// CS API: completed stages cannot be retried; the answer is as if it had
		// not been tried.
		return nil, nil //nolint:nilnil // it did not fail
	}
	if !r.offers(stage) {
		return errNotOffered, nil
	}
	result, err := s.stage(ctx, r)
	var e *matrix.Error
	if errors.As(err, &e) && e.Status == 0 && e.Code != matrix.CodeUserDeactivated && e.Code != matrix.CodeLimitExceeded {
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	if err := r.agree(result); err != nil {
		return nil, err
	}
	r.state.Done[stage], r.result = result, &result
	return nil, nil //nolint:nilnil // it did not fail
}

// round is one UIARequest on its way, with the session it belongs to.
type round struct {
	UIARequest
	auth    authData
	session *storage.UIASession // nil while there is none
	id      string              // its id, as the client knows it
	state   uiaState
	result  *stageResult // of the stage that this round completed, nil for none
}

// uiaState is what the rounds of a session have brought.
type uiaState struct {
	Done   map[string]stageResult
	Stored map[string]jsontext.Value
}

// stageResult is what is kept of a completed stage.
type stageResult struct {
	Subject  matrix.UserID   `json:"subject,omitzero"`
	Password tokenHash       `json:"password,omitzero"` // see [PasswordProof]
	Threepid *ProvenThreepid `json:"threepid,omitzero"`
	Token    string          `json:"token,omitzero"`
	Terms    []Policy        `json:"terms,omitzero"`
}

// offers tells whether a stage is part of a flow and those before it are done:
// flows are completed in order (CS API, User-Interactive Authentication API,
// Overview).
func (r *round) offers(stage string) bool {
	return slices.ContainsFunc(r.Flows, func(f Flow) bool {
		i := slices.Index(f.Stages, stage)
		return i >= 0 && r.done(f.Stages[:i])
	})
}

// complete tells whether all stages of a flow are done.
func (r *round) complete() bool {
	return slices.ContainsFunc(r.Flows, func(f Flow) bool { return r.done(f.Stages) })
}

func (r *round) done(stages []string) bool {
	return !slices.ContainsFunc(stages, func(stage string) bool { _, ok := r.state.Done[stage]; return !ok })
}

// agree refuses a stage that proves somebody else than the token or an earlier
// stage.
func (r *round) agree(result stageResult) error {
	if result.Subject == "" {
		return nil
	}
	if r.Requester != nil && result.Subject != r.Requester.UserID {
		return errOtherUser
	}
	for _, other := range r.state.Done {
		if other.Subject != "" && other.Subject != result.Subject {
			return errOtherUser
		}
	}
	return nil
}

// authorized is the proof that the round is complete.
func (r *round) authorized(s *Service) *Authorized {
	a := &Authorized{
		Stored: r.state.Stored, service: s, completed: r.state.Done, refused: *r.challenge(nil),
	}
	a.refused.Completed = nil
	if r.session != nil {
		a.session = &r.session.Hash
	}
	for _, stage := range slices.Sorted(maps.Keys(r.state.Done)) {
		result := r.state.Done[stage]
		if result.Subject != "" {
			a.Subject = result.Subject
		}
		if result.Threepid != nil {
			a.Threepids = append(a.Threepids, *result.Threepid)
		}
	}
	return a
}

// challenge tells the client what is still to do.
func (r *round) challenge(failed *matrix.Error) *Challenge {
	c := &Challenge{
		Session: r.id, Flows: r.Flows, Params: map[string]any{},
		Completed: slices.Sorted(maps.Keys(r.state.Done)),
	}
	maps.Copy(c.Params, r.Params)
	if len(r.Terms) > 0 {
		c.Params[StageTerms] = termsParams(r.Terms)
	}
	if failed != nil {
		c.Code, c.Message = failed.Code, failed.Message
	}
	return c
}

// CompleteStage completes a stage of a session for a browser that shows a
// fallback page (CS API, Fallback): the session is the only thing it has. raw is
// an `auth` object. The client then polls with the session alone.
func (s *Service) CompleteStage(ctx context.Context, raw jsontext.Value) error {
	auth, err := parseAuth(raw)
	if err != nil {
		return err
	}
	r, err := s.fallbackRound(ctx, auth)
	if err != nil {
		return err
	}
	failed, err := s.attempt(ctx, r)
	if err == nil && failed != nil {
		err = failed
	}
	if err != nil {
		return err
	}
	failed, err = s.store(ctx, r, nil)
	if err == nil && failed != nil {
		err = failed
	}
	return err
}
