package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/door"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/push"
	"lethe/internal/wire"
)

func (a *API) notificationRoutes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodGet, Path: "/_matrix/client/v3/notifications", Handle: a.member(a.notifications)},
	}
}

// notification is an entry of GET /notifications. The rules of this server have no
// profile tags.
type notification struct {
	Room      matrix.RoomID    `json:"room_id"`
	Event     door.Event       `json:"event"`
	Actions   jsontext.Value   `json:"actions"`
	Read      bool             `json:"read"`
	Timestamp matrix.Timestamp `json:"ts"`
}

// notifications is GET /notifications.
func (a *API) notifications(r *wire.Request, who account.Requester) (any, error) {
	q := push.NotificationsQuery{Highlight: r.Query("only") == "highlight"}
	var err error
	if q.Limit, err = number(r, "limit", 50); err != nil {
		return nil, err
	}
	if from := r.Query("from"); from != "" {
		if q.From, err = position.Parse(from); err != nil {
			return nil, err
		}
	}
	list, next, err := a.Unread.Notifications(r.Context(), reader(who), q)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Notifications []notification `json:"notifications"`
		NextToken     string         `json:"next_token,omitzero"`
	}{Notifications: make([]notification, 0, len(list))}
	for _, n := range list {
		answer.Notifications = append(answer.Notifications, notification(n))
	}
	if next != 0 {
		answer.NextToken = position.InRoom(next)
	}
	return answer, nil
}
