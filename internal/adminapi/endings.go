package adminapi

import (
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/wire"
)

func (a *API) deactivations(r *wire.Request, _ deactivation.Actor) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	state, err := oneOf(r, "state", storage.InGrace, storage.Running, storage.Done, storage.Undone)
	if err != nil {
		return nil, err
	}
	list, err := a.Deactivations.List(r.Context(), deactivation.Filter{
		User: matrix.UserID(r.Query("user_id")), State: state, After: r.Query("from"), Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	page := struct {
		Deactivations []deactivation.Ending `json:"deactivations"`
		Next          string                `json:"next,omitzero"`
	}{Deactivations: list}
	if len(list) == limit {
		page.Next = list[len(list)-1].ID
	}
	return page, nil
}

func (a *API) deactivation(r *wire.Request, _ deactivation.Actor) (any, error) {
	return a.Deactivations.Show(r.Context(), r.PathValue("id"))
}

func (a *API) retry(r *wire.Request, _ deactivation.Actor) (any, error) {
	n, err := a.Deactivations.Retry(r.Context(), r.PathValue("id"))
	return map[string]int64{"steps": n}, err
}

func (a *API) undo(r *wire.Request, by deactivation.Actor) (any, error) {
	return nil, a.Deactivations.UndoByID(r.Context(), r.PathValue("id"), by)
}

func (a *API) receipt(r *wire.Request, _ deactivation.Actor) (any, error) {
	receipt, err := a.Deactivations.Receipt(r.Context(), r.PathValue("id"))
	return jsontext.Value(receipt), err
}

func (a *API) audit(r *wire.Request, _ deactivation.Actor) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	rows, err := a.Accounts.AuditLog(r.Context(), matrix.UserID(r.Query("user_id")), limit)
	if err != nil {
		return nil, err
	}
	type entry struct {
		At     matrix.Timestamp `json:"at"`
		Actor  string           `json:"actor"`
		Action string           `json:"action"`
		Target matrix.UserID    `json:"target"`
		Detail jsontext.Value   `json:"detail"`
	}
	list := make([]entry, 0, len(rows))
	for _, row := range rows {
		list = append(list, entry{row.At, row.Actor, row.Action, row.Target, jsontext.Value(row.Detail)})
	}
	return map[string]any{"entries": list}, nil
}

// work tells what durable work is pending, and how much of it is stuck.
func (a *API) work(r *wire.Request, _ deactivation.Actor) (any, error) {
	stats, err := a.Jobs.Stats(r.Context())
	if err != nil {
		return nil, err
	}
	type kind struct {
		Kind    string `json:"kind"`
		Pending int64  `json:"pending"`
		Stuck   int64  `json:"stuck"`
	}
	list := make([]kind, 0, len(stats))
	for _, s := range stats {
		list = append(list, kind(s))
	}
	return map[string]any{"kinds": list}, nil
}
