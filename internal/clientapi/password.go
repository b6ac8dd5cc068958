package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) passwordRoutes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodPost, Path: "/_matrix/client/v3/account/password", Handle: a.changePassword},
	}
}

// changePassword is POST /account/password: with a token by who knows the old
// one, without by who reads the account's mail.
func (a *API) changePassword(r *wire.Request) (any, error) {
	if a.token(r) != "" {
		return a.member(func(r *wire.Request, who account.Requester) (any, error) { return a.setPassword(r, &who) })(r)
	}
	return a.open(func(r *wire.Request) (any, error) { return a.setPassword(r, nil) })(r)
}

func (a *API) setPassword(r *wire.Request, who *account.Requester) (any, error) {
	var q struct {
		Auth          jsontext.Value `json:"auth"`
		NewPassword   string         `json:"new_password"`
		LogoutDevices *bool          `json:"logout_devices"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.NewPassword != "" {
		// Before anybody proves anything for a password that cannot be set.
		if err := a.Accounts.CheckNewPassword(q.NewPassword); err != nil {
			return nil, err
		}
	}
	done, err := a.authorize(r, uia{who: who, flows: a.passwordFlows(who), auth: q.Auth})
	if err != nil {
		return nil, err
	}
	if q.NewPassword == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no new_password.")
	}
	change := account.PasswordChange{
		User: done.Subject, Password: q.NewPassword, Logout: q.LogoutDevices == nil || *q.LogoutDevices, InTx: done.Consume,
		RefuseLocked: true,
	}
	if who != nil {
		change.Keep = who.DeviceID
	}
	return nil, a.Accounts.ChangePassword(r.Context(), change)
}

// passwordFlows are the ways to prove who may set a new password.
func (a *API) passwordFlows(who *account.Requester) []account.Flow {
	flows := []account.Flow{}
	if who != nil {
		flows = append(flows, passwordFlow...)
	}
	if a.Accounts.Sends(matrix.MediumEmail) {
		flows = append(flows, account.Flow{Stages: []string{account.StageEmail}})
	}
	if a.Accounts.Sends(matrix.MediumMSISDN) {
		flows = append(flows, account.Flow{Stages: []string{account.StageMSISDN}})
	}
	if len(flows) == 0 {
		// Without mail the only way is the old password, and so a token.
		flows = append(flows, passwordFlow...)
	}
	return flows
}
