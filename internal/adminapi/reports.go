package adminapi

import (
	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/wire"
)

// reports lists what people have reported, latest first.
func (a *API) reports(r *wire.Request, _ deactivation.Actor) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	rows, err := a.Rooms.Reports(r.Context(), r.Query("from"), limit)
	if err != nil {
		return nil, err
	}
	type report struct {
		ID        string           `json:"id"`
		CreatedAt matrix.Timestamp `json:"created_at"`
		Reporter  matrix.UserID    `json:"reporter"`
		Room      matrix.RoomID    `json:"room_id,omitzero"`
		EventID   string           `json:"event_id,omitzero"`
		User      matrix.UserID    `json:"user_id,omitzero"`
		Reason    string           `json:"reason"`
	}
	page := struct {
		Reports []report `json:"reports"`
		Next    string   `json:"next,omitzero"`
	}{Reports: make([]report, 0, len(rows))}
	for _, row := range rows {
		page.Reports = append(page.Reports, report(row))
	}
	if len(rows) == limit {
		page.Next = rows[len(rows)-1].ID
	}
	return page, nil
}

// notify sends a user a notice of the server.
func (a *API) notify(r *wire.Request, by deactivation.Actor) (any, error) {
	var q struct {
		User matrix.UserID `json:"user_id"`
		Body string        `json:"body"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	user, err := matrix.ParseUserID(string(q.User))
	if err != nil || user.Server() != a.ServerName {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "user_id is not that of a user of this server.")
	}
	room, event, err := a.Rooms.Notify(r.Context(), room.Notice{User: user, Body: q.Body, By: string(by)})
	return map[string]string{"room_id": string(room), "event_id": event}, err
}
