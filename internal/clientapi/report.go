package clientapi

import (
	"net/http"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/wire"
)

func (a *API) reportRoutes() []wire.Route {
	const v3 = "/_matrix/client/v3/"
	return []wire.Route{
		{Method: http.MethodPost, Path: v3 + "rooms/{roomId}/report", Handle: a.member(a.report)},
		{Method: http.MethodPost, Path: v3 + "rooms/{roomId}/report/{eventId}", Handle: a.member(a.report)},
		{Method: http.MethodPost, Path: v3 + "users/{userId}/report", Handle: a.member(a.report)},
	}
}

// report is POST /rooms/{roomId}/report, POST /rooms/{roomId}/report/{eventId} and
// POST /users/{userId}/report.
func (a *API) report(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Reason *string `json:"reason"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	report := storage.Report{EventID: r.PathValue("eventId")}
	var err error
	if user := r.PathValue("userId"); user != "" {
		if report.User, err = matrix.ParseUserID(user); err != nil {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "The path has no valid user id: %v.", err)
		}
	} else if report.Room, err = pathRoom(r); err != nil {
		return nil, err
	}
	switch {
	case q.Reason != nil:
		report.Reason = *q.Reason
	case report.EventID == "": // of an event it may be left out
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The report has no reason, which may be blank.")
	}
	return nil, a.Rooms.Report(r.Context(), actor(who), report)
}
