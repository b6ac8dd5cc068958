package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/wire"
)

func (a *API) receiptRoutes() []wire.Route {
	const path = "/_matrix/client/v3/rooms/{roomId}"
	return []wire.Route{
		{Method: http.MethodPost, Path: path + "/receipt/{receiptType}/{eventId}", Handle: a.member(a.sendReceipt)},
		{Method: http.MethodPost, Path: path + "/read_markers", Handle: a.member(a.readMarkers)},
	}
}

// sendReceipt is POST /rooms/{roomId}/receipt/{receiptType}/{eventId}.
func (a *API) sendReceipt(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Thread jsontext.Value `json:"thread_id"`
	}
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	var reading room.Reading
	if q.Thread != nil {
		if json.Unmarshal(q.Thread, &reading.Thread) != nil || reading.Thread == "" {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "thread_id is not a text, or empty.")
		}
	}
	switch event := r.PathValue("eventId"); r.PathValue("receiptType") {
	case "m.read":
		reading.Read = event
	case "m.read.private":
		reading.Private = event
	case "m.fully_read":
		if reading.Thread != "" {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "The fully read marker is not for a thread, and takes no thread_id.")
		}
		reading.FullyRead = event
	default:
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "The types of receipts are m.read, m.read.private and m.fully_read.")
	}
	a.isActive(who)
	return struct{}{}, a.Rooms.Read(r.Context(), act, id, reading)
}

// readMarkers is POST /rooms/{roomId}/read_markers.
func (a *API) readMarkers(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		FullyRead string `json:"m.fully_read"`
		Read      string `json:"m.read"`
		Private   string `json:"m.read.private"`
	}
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	reading := room.Reading{Read: q.Read, Private: q.Private, FullyRead: q.FullyRead}
	return struct{}{}, a.Rooms.Read(r.Context(), act, id, reading)
}
