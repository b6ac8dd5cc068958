package clientapi

import (
	"net/http"

	"lethe/internal/account"
	"lethe/internal/appservice"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// token is the access token of a request, "" for none (CS API, Using access
// tokens).
func (a *API) token(r *wire.Request) string {
	if token := r.Bearer(); token != "" || !a.Options.QueryToken {
		return token
	}
	return r.Query("access_token")
}

// requester tells who asks: nil if there is no token. Locked accounts are let
// through; see authed.
func (a *API) requester(r *wire.Request) (*account.Requester, error) {
	token := a.token(r)
	if token == "" {
		return nil, nil //nolint:nilnil // no requester is no error: some endpoints take none
	}
	if s := a.Appservices.ByToken(token); s != nil {
		return a.appserviceRequester(r, s)
	}
	if err := a.limitDead(r, token); err != nil {
		return nil, err
	}
	who, err := a.Accounts.Authenticate(r.Context(), token)
	if matrix.CodeOf(err) == matrix.CodeUnknownToken {
		a.Limits.UnknownToken.Allow(r.Network())
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if err := allow(a.Limits.Account, string(who.UserID)); err != nil {
		return nil, err
	}
	a.Accounts.Seen(who, r.Remote.String(), r.UserAgent())
	return &who, nil
}

// appserviceRequester is whom an application service acts as: the user_id it
// asserts, or its sender (Application Service API, Identity assertion).
func (a *API) appserviceRequester(r *wire.Request, s *appservice.Service) (*account.Requester, error) {
	user := s.Sender
	if asserted := r.Query("user_id"); asserted != "" {
		var err error
		user, err = matrix.ParseUserID(asserted)
		if err != nil || user.Server() != a.Options.ServerName || !s.Owns(user) {
			return nil, matrix.Errorf(matrix.CodeForbidden, "The application service may not act as this user.")
		}
	}
	device := r.Query("device_id")
	who, err := a.Accounts.RequesterOf(r.Context(), user, device, s.ID)
	if err != nil {
		return nil, err
	}
	if device != "" {
		if _, err := a.Accounts.Device(r.Context(), user, device); err != nil {
			return nil, matrix.Errorf("M_UNKNOWN_DEVICE", "The user has no such device.").WithStatus(http.StatusBadRequest)
		}
	}
	return &who, nil
}

// authedHandler is a handler that knows who asks.
type authedHandler func(*wire.Request, account.Requester) (any, error)

// anyAuthed makes a handler of one that needs an access token, also of a locked
// account.
func (a *API) anyAuthed(h authedHandler) wire.Handler {
	return func(r *wire.Request) (any, error) {
		who, err := a.requester(r)
		if err != nil {
			return nil, err
		}
		if who == nil {
			return nil, matrix.Errorf(matrix.CodeMissingToken, "This endpoint needs an access token.")
		}
		result, err := h(r, *who)
		return result, ended(err)
	}
}

// ended is what a token is told whose account ended while it was looked at: the
// same as one that comes later (DESIGN §6).
func ended(err error) error {
	if matrix.CodeOf(err) == matrix.CodeUserDeactivated {
		return matrix.Errorf(matrix.CodeUnknownToken, "This access token is not known, or its session has ended.")
	}
	return err
}

// authed is anyAuthed for what a locked account may not do: all but to log out
// (CS API, Account locking).
func (a *API) authed(h authedHandler) wire.Handler {
	return a.anyAuthed(func(r *wire.Request, who account.Requester) (any, error) {
		if who.Locked {
			return nil, account.ErrLocked
		}
		return h(r, who)
	})
}

var (
	errGuest     = matrix.Errorf(matrix.CodeGuestAccessForbidden, "Guests cannot do this.")
	errSuspended = matrix.Errorf(matrix.CodeUserSuspended, "You cannot do this while your account is suspended.")
)

// member is authed for what guests may not do (CS API, Guest access).
func (a *API) member(h authedHandler) wire.Handler {
	return a.authed(func(r *wire.Request, who account.Requester) (any, error) {
		if who.Guest {
			return nil, errGuest
		}
		return h(r, who)
	})
}

// active is member for what suspended accounts may not do (CS API, Account
// suspension).
func (a *API) active(h authedHandler) wire.Handler {
	return a.member(func(r *wire.Request, who account.Requester) (any, error) {
		if who.Suspended {
			return nil, errSuspended
		}
		return h(r, who)
	})
}

// working is active for what guests may do, too.
func (a *API) working(h authedHandler) wire.Handler {
	return a.authed(func(r *wire.Request, who account.Requester) (any, error) {
		if who.Suspended {
			return nil, errSuspended
		}
		return h(r, who)
	})
}

// own is a handler for what a user may do with their own things: the path's
// userId has to be theirs.
func own(h func(*wire.Request, account.Requester) (any, error)) authedHandler {
	return func(r *wire.Request, who account.Requester) (any, error) {
		if r.PathValue("userId") != string(who.UserID) {
			return nil, matrix.Errorf(matrix.CodeForbidden, "You cannot do this for another user.")
		}
		return h(r, who)
	}
}

// open makes a handler of one that needs no token, with the limit by address.
func (a *API) open(h wire.Handler) wire.Handler {
	return func(r *wire.Request) (any, error) {
		if err := allow(a.Limits.Address, r.Network()); err != nil {
			return nil, err
		}
		return h(r)
	}
}
