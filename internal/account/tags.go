package account

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// typeTag is the account data that has the tags of a room.
const typeTag = "m.tag"

// maxTag is the longest name of a tag, in bytes (CS API, Room Tagging).
const maxTag = 255

// Tags returns the tags that user has given a room, by name (CS API, Room Tagging).
func (s *Service) Tags(ctx context.Context, user matrix.UserID, room matrix.RoomID) (tags map[string]jsontext.Value, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		_, tags, err = readTags(tx, user, room)
		return err
	})
	return tags, err
}

// SetTag gives a room a tag: a JSON object, whose order, if it has one, is a number
// between 0 and 1.
func (s *Service) SetTag(ctx context.Context, user matrix.UserID, room matrix.RoomID, name string, tag jsontext.Value) error {
	if len(name) > maxTag {
		return matrix.Errorf(matrix.CodeInvalidParam, "The name of a tag has at most %d bytes.", maxTag)
	}
	var content struct {
		Order jsontext.Value `json:"order"`
	}
	if err := json.Unmarshal(tag, &content); err != nil || tag.Kind() != '{' {
		return matrix.Errorf(matrix.CodeBadJSON, "A tag is a JSON object.")
	}
	if content.Order != nil {
		var order float64
		if err := json.Unmarshal(content.Order, &order); err != nil || content.Order.Kind() != '0' {
			return matrix.Errorf(matrix.CodeBadJSON, "The order of a tag is a number.")
		}
		if order < 0 || order > 1 {
			return matrix.Errorf(matrix.CodeInvalidParam, "The order of a tag is between 0 and 1.")
		}
	}
	return s.changeTags(ctx, user, room, func(tags map[string]jsontext.Value) bool {
		tags[name] = tag
		return true
	})
}

// DeleteTag takes a tag from a room, if it has it.
func (s *Service) DeleteTag(ctx context.Context, user matrix.UserID, room matrix.RoomID, name string) error {
	return s.changeTags(ctx, user, room, func(tags map[string]jsontext.Value) bool {
		_, has := tags[name]
		delete(tags, name)
		return has
	})
}

// changeTags stores what change makes of the tags of a room, if it returns true.
func (s *Service) changeTags(
	ctx context.Context, user matrix.UserID, room matrix.RoomID, change func(map[string]jsontext.Value) bool,
) error {
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		content, tags, err := readTags(tx, user, room)
		if err != nil || !change(tags) {
			return err
		}
		if content["tags"], err = json.Marshal(tags, json.Deterministic(true)); err != nil {
			return err
		}
		raw, err := json.Marshal(content, json.Deterministic(true))
		if err != nil {
			return err
		}
		return putAccountData(tx, user, storage.AccountData{RoomID: string(room), Type: typeTag, Content: raw})
	})
}

// readTags reads the tags of a room, and all else that their content has. What
// clients have stored that are no tags is none.
func readTags(tx *storage.Tx, user matrix.UserID, room matrix.RoomID) (content, tags map[string]jsontext.Value, err error) {
	content, tags = map[string]jsontext.Value{}, map[string]jsontext.Value{}
	stored, err := tx.AccountData(user, string(room), typeTag)
	if errors.Is(err, storage.ErrNotFound) {
		return content, tags, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if json.Unmarshal(stored, &content) != nil || content == nil {
		content = map[string]jsontext.Value{}
	}
	if json.Unmarshal(content["tags"], &tags) != nil || tags == nil {
		tags = map[string]jsontext.Value{}
	}
	return content, tags, nil
}
