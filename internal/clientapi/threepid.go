package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/wire"
)

func (a *API) threepidRoutes() []wire.Route {
	const v3 = "/_matrix/client/v3/"
	post := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Method: http.MethodPost, Path: v3 + path, Handle: h}
	}
	return []wire.Route{
		{Method: http.MethodGet, Path: v3 + "account/3pid", Handle: a.member(a.threepids)},
		post("account/3pid", a.member(a.addThreepidOld)),
		post("account/3pid/add", a.member(a.addThreepid)),
		post("account/3pid/bind", a.member(a.bindThreepid)),
		post("account/3pid/delete", a.active(a.deleteThreepid)),
		post("account/3pid/unbind", a.active(a.unbindThreepid)),
		post("account/3pid/email/requestToken", a.requestToken(storage.ForAdd, matrix.MediumEmail)),
		post("account/3pid/msisdn/requestToken", a.requestToken(storage.ForAdd, matrix.MediumMSISDN)),
		post("register/email/requestToken", a.requestToken(storage.ForRegister, matrix.MediumEmail)),
		post("register/msisdn/requestToken", a.requestToken(storage.ForRegister, matrix.MediumMSISDN)),
		post("account/password/email/requestToken", a.requestToken(storage.ForPassword, matrix.MediumEmail)),
		post("account/password/msisdn/requestToken", a.requestToken(storage.ForPassword, matrix.MediumMSISDN)),
		{Method: http.MethodPost, Path: "/_lethe/validate/msisdn/submitToken", Handle: a.open(a.submitToken)},
	}
}

// threepids is GET /account/3pid.
func (a *API) threepids(r *wire.Request, who account.Requester) (any, error) {
	type entry struct {
		Medium      string           `json:"medium"`
		Address     string           `json:"address"`
		ValidatedAt matrix.Timestamp `json:"validated_at"`
		AddedAt     matrix.Timestamp `json:"added_at"`
	}
	rows, err := a.Accounts.Threepids(r.Context(), who.UserID)
	list := make([]entry, 0, len(rows))
	for _, t := range rows {
		list = append(list, entry{t.Medium, t.Address, t.ValidatedAt, t.AddedAt})
	}
	return map[string]any{"threepids": list}, err
}

// requestToken is the requestToken endpoint of one purpose and medium.
func (a *API) requestToken(purpose storage.ValidationPurpose, medium string) wire.Handler {
	return func(r *wire.Request) (any, error) {
		var q struct {
			ClientSecret string `json:"client_secret"`
			Email        string `json:"email"`
			Country      string `json:"country"`
			PhoneNumber  string `json:"phone_number"`
			SendAttempt  int64  `json:"send_attempt"`
			NextLink     string `json:"next_link"`
		}
		if err := r.Decode(&q); err != nil {
			return nil, err
		}
		req := account.TokenRequest{
			Purpose: purpose, Medium: medium, Address: q.Email, ClientSecret: q.ClientSecret,
			SendAttempt: q.SendAttempt, NextLink: q.NextLink,
		}
		if medium == matrix.MediumMSISDN {
			req.Address = matrix.Dialled(q.Country, q.PhoneNumber)
		}
		if req.Address == "" || req.ClientSecret == "" {
			return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no client_secret, or no address to send to.")
		}
		if err := allow(a.Limits.Mail, r.Network()); err != nil {
			return nil, err
		}
		if purpose == storage.ForAdd {
			// The token is optional here; who is known can use the proof alone.
			who, err := a.requester(r)
			if err != nil {
				return nil, err
			}
			if who != nil {
				if who.Locked {
					return nil, account.ErrLocked
				}
				req.User = who.UserID
			}
		}
		sid, err := a.Accounts.RequestToken(r.Context(), req)
		if purpose == storage.ForAdd && req.User != "" {
			err = ended(err)
		}
		if err != nil {
			return nil, err
		}
		answer := map[string]string{"sid": sid}
		if medium == matrix.MediumMSISDN {
			answer["submit_url"] = a.Accounts.BaseURL() + "/_lethe/validate/msisdn/submitToken"
		}
		return answer, nil
	}
}

// submitToken takes the code of a text message, in the shape of the Identity
// Service API's POST /validate/msisdn/submitToken, error codes included (CS API,
// requestToken, submit_url).
func (a *API) submitToken(r *wire.Request) (any, error) {
	var q struct {
		SID          string `json:"sid"`
		ClientSecret string `json:"client_secret"`
		Token        string `json:"token"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.SID == "" || q.ClientSecret == "" || q.Token == "" {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "The request needs sid, client_secret and token.")
	}
	_, err := a.Accounts.SubmitToken(r.Context(), q.SID, q.Token)
	if matrix.CodeOf(err) == matrix.CodeThreePIDAuthFailed {
		err = matrix.Errorf("M_TOKEN_INCORRECT", "The code is wrong, was tried too often, or has expired.")
	}
	return map[string]bool{"success": err == nil}, err
}

type sidRequest struct {
	Auth         jsontext.Value `json:"auth"`
	SID          string         `json:"sid"`
	ClientSecret string         `json:"client_secret"`
	IDServer     string         `json:"id_server"`
	IDToken      string         `json:"id_access_token"`
}

// addThreepid is POST /account/3pid/add.
func (a *API) addThreepid(r *wire.Request, who account.Requester) (any, error) {
	var q sidRequest
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.SID == "" || q.ClientSecret == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request needs sid and client_secret.")
	}
	done, err := a.authorize(r, uia{who: &who, flows: passwordFlow, auth: q.Auth})
	if err != nil {
		return nil, err
	}
	return nil, a.Accounts.AddProven(r.Context(), who.UserID, q.SID, q.ClientSecret, done.Consume)
}

// addThreepidOld is POST /account/3pid (deprecated): it adds what this server
// has validated, and binds nothing.
func (a *API) addThreepidOld(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Creds *sidRequest `json:"three_pid_creds"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.Creds == nil {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no three_pid_creds.")
	}
	err := a.Accounts.AddProven(r.Context(), who.UserID, q.Creds.SID, q.Creds.ClientSecret, nil)
	if matrix.CodeOf(err) == matrix.CodeThreePIDAuthFailed {
		err = matrix.Errorf(matrix.CodeThreePIDAuthFailed, "The address has not been validated here.").WithStatus(http.StatusForbidden)
	}
	return nil, err
}

// bindThreepid is POST /account/3pid/bind.
func (a *API) bindThreepid(r *wire.Request, who account.Requester) (any, error) {
	var q sidRequest
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.SID == "" || q.ClientSecret == "" || q.IDToken == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request needs sid, client_secret and id_access_token.")
	}
	server, err := idServer(q.IDServer)
	if err != nil {
		return nil, err
	}
	if server == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no id_server.")
	}
	return nil, a.Accounts.Bind(r.Context(), who.UserID, server, q.IDToken, q.SID, q.ClientSecret)
}

// idServer checks the name of an identity server; "" stays "".
func idServer(name string) (matrix.ServerName, error) {
	if name == "" {
		return "", nil
	}
	server, err := matrix.ParseServerName(name)
	if err != nil {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "The id_server is not valid: %v.", err)
	}
	return server, nil
}

// threepidRequest is the body of POST /account/3pid/delete and /unbind.
func threepidRequest(r *wire.Request) (matrix.Threepid, matrix.ServerName, error) {
	var q struct {
		Medium   string `json:"medium"`
		Address  string `json:"address"`
		IDServer string `json:"id_server"`
	}
	if err := r.Decode(&q); err != nil {
		return matrix.Threepid{}, "", err
	}
	server, err := idServer(q.IDServer)
	if err != nil {
		return matrix.Threepid{}, "", err
	}
	pid, err := matrix.ParseThreepid(q.Medium, q.Address)
	if err != nil {
		return pid, "", matrix.Errorf(matrix.CodeInvalidParam, "The address is not valid: %v.", err)
	}
	return pid, server, nil
}

// unbindBody is the answer to a request that unbinds.
func unbindBody(all bool) map[string]string {
	if all {
		return map[string]string{"id_server_unbind_result": "success"}
	}
	return map[string]string{"id_server_unbind_result": "no-support"}
}

func (a *API) deleteThreepid(r *wire.Request, who account.Requester) (any, error) {
	pid, server, err := threepidRequest(r)
	if err != nil {
		return nil, err
	}
	all, err := a.Accounts.DeleteThreepid(r.Context(), who.UserID, pid, server)
	return unbindBody(all), err
}

func (a *API) unbindThreepid(r *wire.Request, who account.Requester) (any, error) {
	pid, server, err := threepidRequest(r)
	if err != nil {
		return nil, err
	}
	all, err := a.Accounts.Unbind(r.Context(), who.UserID, pid, server)
	return unbindBody(all), err
}
