package clientapi

import (
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) deactivateRoutes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodPost, Path: "/_matrix/client/v3/account/deactivate", Handle: a.deactivate},
		// Lethe's own: a copy of everything before the end, and the receipt after it.
		{Method: http.MethodGet, Path: "/_lethe/client/v1/account/export", Handle: a.member(a.export)},
		{Method: http.MethodGet, Path: "/_lethe/client/v1/deactivation/{id}/receipt", Handle: a.open(a.receipt)},
	}
}

// deactivateRequest is the body of POST /account/deactivate. The raw values tell
// what was not given from what was given as nothing.
type deactivateRequest struct {
	Auth     jsontext.Value `json:"auth"`
	Erase    jsontext.Value `json:"erase"`
	IDServer jsontext.Value `json:"id_server"`
}

// deactivate is POST /account/deactivate (CS API, Account deactivation; DESIGN
// §4 and §6).
func (a *API) deactivate(r *wire.Request) (any, error) {
	var q deactivateRequest
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	stored, err := q.check()
	if err != nil {
		return nil, err
	}
	who, err := a.requester(r)
	if err != nil {
		return nil, err
	}
	key := "address " + r.Network()
	if who != nil {
		key = string(who.UserID)
	}
	if err := allow(a.Limits.Deactivate, key); err != nil {
		return nil, err
	}
	if who != nil {
		if err := mayEnd(*who); err != nil {
			return nil, err
		}
		if who.Appservice != "" {
			return a.end(r, deactivation.Request{User: who.UserID, By: deactivation.Appservice(who.Appservice)}, stored)
		}
	}
	if !a.Options.SelfDeactivation {
		return nil, matrix.Errorf(matrix.CodeForbidden, "On this server only its operators end accounts. Ask them.")
	}
	result, err := a.endSelf(r, uia{who: who, flows: passwordFlow, auth: q.Auth, stored: stored})
	if who != nil {
		err = ended(err)
	}
	return result, err
}

// endSelf ends the account of who proves to be its owner.
func (a *API) endSelf(r *wire.Request, u uia) (any, error) {
	done, err := a.authorize(r, u)
	if err != nil {
		return nil, err
	}
	// The flow has a password stage, so it has proved somebody; with a token, the
	// token's user.
	return a.end(r, deactivation.Request{User: done.Subject, By: deactivation.Self, InTx: done.Consume}, done.Stored)
}

// check refuses values that are not what the specification says, before
// anything else happens, and returns those that were given.
func (q *deactivateRequest) check() (map[string]jsontext.Value, error) {
	stored := map[string]jsontext.Value{}
	if q.Erase != nil {
		if k := q.Erase.Kind(); k != 't' && k != 'f' {
			return nil, matrix.Errorf(matrix.CodeBadJSON, "The value of erase must be true or false.")
		}
		stored["erase"] = q.Erase
	}
	if q.IDServer != nil {
		var name string
		if q.IDServer.Kind() != '"' || json.Unmarshal(q.IDServer, &name) != nil {
			return nil, matrix.Errorf(matrix.CodeBadJSON, "The value of id_server must be a string.")
		}
		if _, err := matrix.ParseServerName(name); err != nil {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "The id_server is not valid: %v.", err)
		}
		stored["id_server"] = q.IDServer
	}
	return stored, nil
}

// mayEnd refuses those who cannot end an account before they are asked to prove
// who they are. The transaction looks again.
func mayEnd(who account.Requester) error {
	if who.Guest {
		return matrix.Errorf(matrix.CodeGuestAccessForbidden, "Guests have no account to deactivate.")
	}
	if who.Locked {
		e := matrix.Errorf(matrix.CodeUserLocked, "This account has been locked.")
		e.SoftLogout = true
		return e
	}
	return nil
}

// end ends the account with what the rounds of the request gave.
func (a *API) end(r *wire.Request, req deactivation.Request, stored map[string]jsontext.Value) (any, error) {
	if raw := stored["erase"]; raw != nil {
		if err := json.Unmarshal(raw, &req.Erase); err != nil {
			return nil, err
		}
	}
	if raw := stored["id_server"]; raw != nil {
		if err := json.Unmarshal(raw, &req.IDServer); err != nil {
			return nil, err
		}
	}
	result, err := a.Deactivations.Deactivate(r.Context(), req)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"id_server_unbind_result": result.Unbind,
		// The person has no token any more: this is how they see what is gone.
		"org.lethe.deactivation_id": result.ID,
	}, nil
}

// export is GET /_lethe/client/v1/account/export.
func (a *API) export(r *wire.Request, who account.Requester) (any, error) {
	return &wire.Response{
		ContentType: "application/zip",
		Header:      http.Header{"Content-Disposition": {`attachment; filename="account.zip"`}},
		Stream:      func(w io.Writer) error { return a.Deactivations.Export(r.Context(), who.UserID, w) },
	}, nil
}

// receipt is GET /_lethe/client/v1/deactivation/{id}/receipt, for who has the id.
func (a *API) receipt(r *wire.Request) (any, error) {
	receipt, err := a.Deactivations.Receipt(r.Context(), r.PathValue("id"))
	return jsontext.Value(receipt), err
}
