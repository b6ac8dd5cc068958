package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) profileRoutes() []wire.Route {
	const path = "/_matrix/client/v3/profile/{userId}"
	return []wire.Route{
		{Method: http.MethodGet, Path: path, Handle: a.open(a.profile)},
		{Method: http.MethodGet, Path: path + "/{keyName}", Handle: a.open(a.profileField)},
		{Method: http.MethodPut, Path: path + "/{keyName}", Handle: a.authed(own(a.setProfileField))},
		{Method: http.MethodDelete, Path: path + "/{keyName}", Handle: a.authed(own(a.deleteProfileField))},
	}
}

// profileOf is the profile of the path's user. Those of other servers come with
// federation.
func (a *API) profileOf(r *wire.Request) (map[string]jsontext.Value, error) {
	user, err := matrix.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "The path has no valid user id: %v.", err)
	}
	return a.Accounts.Profile(r.Context(), user)
}

func (a *API) profile(r *wire.Request) (any, error) { return a.profileOf(r) }

func (a *API) profileField(r *wire.Request) (any, error) {
	profile, err := a.profileOf(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("keyName")
	value, ok := profile[name]
	if !ok {
		return nil, matrix.Errorf(matrix.CodeNotFound, "The profile has no such field.")
	}
	return map[string]jsontext.Value{name: value}, nil
}

// mayChange refuses those who may not change the field that the path names.
func mayChange(r *wire.Request, who account.Requester) error {
	if who.Suspended {
		return errSuspended
	}
	if who.Guest && r.PathValue("keyName") != account.FieldDisplayName {
		return errGuest // CS API, Guest access: guests have a display name
	}
	return nil
}

func (a *API) setProfileField(r *wire.Request, who account.Requester) (any, error) {
	if err := mayChange(r, who); err != nil {
		return nil, err
	}
	var q map[string]jsontext.Value
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	name := r.PathValue("keyName")
	value, ok := q[name]
	if !ok {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request does not have the field that its path names.")
	}
	return nil, a.Accounts.SetProfileField(r.Context(), who.UserID, name, value)
}

func (a *API) deleteProfileField(r *wire.Request, who account.Requester) (any, error) {
	if err := mayChange(r, who); err != nil {
		return nil, err
	}
	return nil, a.Accounts.DeleteProfileField(r.Context(), who.UserID, r.PathValue("keyName"))
}
