package room

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// receiptContent is the content of an m.receipt event: by event, type and user.
type receiptContent map[string]map[string]map[matrix.UserID]receiptBody

type receiptBody struct {
	Timestamp matrix.Timestamp `json:"ts"`
	Thread    string           `json:"thread_id,omitzero"`
}

// add adds a receipt, unless there is one of the same user for the same event and
// another thread, which would be in its place.
func (c receiptContent) add(r storage.Receipt) bool {
	types := c[r.EventID]
	if types == nil {
		types = map[string]map[matrix.UserID]receiptBody{}
		c[r.EventID] = types
	}
	users := types[r.Type]
	if users == nil {
		users = map[matrix.UserID]receiptBody{}
		types[r.Type] = users
	}
	if _, taken := users[r.User]; taken {
		return false
	}
	users[r.User] = receiptBody{r.Timestamp, r.Thread}
	return true
}

// Receipts returns the contents of m.receipt events for those of the rooms that
// have receipts set above a position and not above another: the public ones of
// users whom reader does not ignore, and reader's own. There is more than one
// content only where somebody has two receipts at one event (CS API, Receipts:
// Server behaviour).
func (s *Service) Receipts(
	tx *storage.Tx, reader matrix.UserID, rooms []matrix.RoomID, after, upTo int64,
) (map[matrix.RoomID][]jsontext.Value, error) {
	receipts, err := tx.ReceiptsAfter(reader, rooms, after, upTo)
	if err != nil || len(receipts) == 0 {
		return nil, err
	}
	ignored, err := s.events.Ignored(tx, reader)
	if err != nil {
		return nil, err
	}
	byRoom := map[matrix.RoomID][]receiptContent{}
	for _, r := range receipts {
		if ignored[r.User] {
			continue
		}
		added := false
		for _, c := range byRoom[r.Room] {
			if added = c.add(r); added {
				break
			}
		}
		if !added {
			c := receiptContent{}
			c.add(r)
			byRoom[r.Room] = append(byRoom[r.Room], c)
		}
	}
	contents := make(map[matrix.RoomID][]jsontext.Value, len(byRoom))
	for room, list := range byRoom {
		for _, c := range list {
			raw, err := json.Marshal(c, json.Deterministic(true))
			if err != nil {
				return nil, err
			}
			contents[room] = append(contents[room], raw)
		}
	}
	return contents, nil
}
