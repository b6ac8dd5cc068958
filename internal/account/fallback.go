package account

import (
	"context"
	"strings"

	"github.com/go-json-experiment/json"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Fallback is what a fallback page has to know of the session that it completes
// a stage of (CS API, Fallback).
type Fallback struct {
	// User is the bearer of the access token that the session is for, "" without
	// one.
	User matrix.UserID
	// Terms are the policies that the terms stage is about.
	Terms []Policy
	// Purpose is what an address is validated for.
	Purpose storage.ValidationPurpose
	// Ends tells that the session is for the end of an account.
	Ends bool
	// Done tells that the stage is complete.
	Done bool
}

// Fallback looks up a stage of a session for its fallback page. A session that
// is not there is M_FORBIDDEN, a stage that it does not take, or not yet, is
// M_UNRECOGNIZED.
func (s *Service) Fallback(ctx context.Context, session, stage string) (Fallback, error) {
	r, err := s.fallbackRound(ctx, authData{Type: stage, Session: session})
	if err != nil {
		return Fallback{}, err
	}
	_, done := r.state.Done[stage]
	if !done && !r.offers(stage) {
		return Fallback{}, errNotOffered
	}
	f := Fallback{
		User: r.session.UserID, Terms: r.Terms, Purpose: storage.ForPassword, Done: done,
		Ends: strings.HasSuffix(r.session.Endpoint, "/account/deactivate"),
	}
	if strings.HasSuffix(r.session.Endpoint, "/register") {
		f.Purpose = storage.ForRegister
	}
	return f, nil
}

// fallbackRound is the round of a browser that shows a fallback page: the
// session is the only thing it has.
func (s *Service) fallbackRound(ctx context.Context, auth authData) (*round, error) {
	v, err := s.uiaSession(ctx, auth.Session)
	if err != nil {
		return nil, err
	}
	r := &round{auth: auth, session: &v, id: auth.Session}
	if r.state, err = stateOf(v); err != nil {
		return nil, err
	}
	var offer uiaOffer
	if err := json.Unmarshal(v.Offer, &offer); err != nil {
		return nil, err
	}
	r.Flows, r.Terms = offer.Flows, offer.Terms
	if v.UserID != "" {
		r.Requester = &Requester{UserID: v.UserID, DeviceID: v.DeviceID}
	}
	return r, nil
}
