package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/push"
	"lethe/internal/wire"
)

// pushRuleRoutes are the rules of push notifications (CS API, Push Rules: API).
func (a *API) pushRuleRoutes() []wire.Route {
	const rules = "/_matrix/client/v3/pushrules/"
	const rule = rules + "global/{kind}/{ruleId}"
	return []wire.Route{
		{Method: http.MethodGet, Path: rules + "{$}", Handle: a.member(a.pushRulesets)},
		{Method: http.MethodGet, Path: rules + "global/{$}", Handle: a.member(a.pushRules)},
		{Method: http.MethodGet, Path: rule, Handle: a.member(ofRule(a.pushRule))},
		{Method: http.MethodPut, Path: rule, Handle: a.member(ofRule(a.setPushRule))},
		{Method: http.MethodDelete, Path: rule, Handle: a.member(ofRule(a.deletePushRule))},
		{Method: http.MethodGet, Path: rule + "/enabled", Handle: a.member(ofRule(a.pushRuleEnabled))},
		{Method: http.MethodPut, Path: rule + "/enabled", Handle: a.member(ofRule(a.setPushRuleEnabled))},
		{Method: http.MethodGet, Path: rule + "/actions", Handle: a.member(ofRule(a.pushRuleActions))},
		{Method: http.MethodPut, Path: rule + "/actions", Handle: a.member(ofRule(a.setPushRuleActions))},
	}
}

// ruleHandler is a handler of requests for the rule that the path names.
type ruleHandler func(r *wire.Request, user matrix.UserID, kind push.Kind, id string) (any, error)

func ofRule(h ruleHandler) authedHandler {
	return func(r *wire.Request, who account.Requester) (any, error) {
		kind, err := push.ParseKind(r.PathValue("kind"))
		if err != nil {
			return nil, err
		}
		return h(r, who.UserID, kind, r.PathValue("ruleId"))
	}
}

func (a *API) pushRulesets(r *wire.Request, who account.Requester) (any, error) {
	rules, err := a.Push.Rules(r.Context(), who.UserID)
	return map[string]push.Rules{"global": rules}, err
}

func (a *API) pushRules(r *wire.Request, who account.Requester) (any, error) {
	return a.Push.Rules(r.Context(), who.UserID)
}

func (a *API) pushRule(r *wire.Request, user matrix.UserID, kind push.Kind, id string) (any, error) {
	return a.Push.Rule(r.Context(), user, kind, id)
}

// setPushRule is PUT /pushrules/global/{kind}/{ruleId}.
func (a *API) setPushRule(r *wire.Request, user matrix.UserID, kind push.Kind, id string) (any, error) {
	var q struct {
		Actions    []jsontext.Value `json:"actions"`
		Conditions []jsontext.Value `json:"conditions"`
		Pattern    string           `json:"pattern"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.Actions == nil {
		return nil, errNoActions
	}
	return nil, a.Push.SetRule(r.Context(), user, kind, push.NewRule{
		ID: id, Conditions: q.Conditions, Pattern: q.Pattern, Actions: q.Actions,
		Before: r.Query("before"), After: r.Query("after"),
	})
}

var errNoActions = matrix.Errorf(matrix.CodeMissingParam, "The request has no actions.")

func (a *API) deletePushRule(r *wire.Request, user matrix.UserID, kind push.Kind, id string) (any, error) {
	return nil, a.Push.DeleteRule(r.Context(), user, kind, id)
}

func (a *API) pushRuleEnabled(r *wire.Request, user matrix.UserID, kind push.Kind, id string) (any, error) {
	rule, err := a.Push.Rule(r.Context(), user, kind, id)
	return map[string]bool{"enabled": rule.Enabled}, err
}

func (a *API) setPushRuleEnabled(r *wire.Request, user matrix.UserID, kind push.Kind, id string) (any, error) {
	var q struct {
		Enabled *bool `json:"enabled"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.Enabled == nil {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request does not say whether the rule is to be enabled.")
	}
	return nil, a.Push.SetEnabled(r.Context(), user, kind, id, *q.Enabled)
}

func (a *API) pushRuleActions(r *wire.Request, user matrix.UserID, kind push.Kind, id string) (any, error) {
	rule, err := a.Push.Rule(r.Context(), user, kind, id)
	return map[string][]jsontext.Value{"actions": rule.Actions}, err
}

func (a *API) setPushRuleActions(r *wire.Request, user matrix.UserID, kind push.Kind, id string) (any, error) {
	var q struct {
		Actions []jsontext.Value `json:"actions"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.Actions == nil {
		return nil, errNoActions
	}
	return nil, a.Push.SetActions(r.Context(), user, kind, id, q.Actions)
}
