package room

import (
	"errors"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// mayRelate holds what a client sends to the rules of relations: no reaction
// twice (CS API, Avoiding duplicate annotations), and no thread off an event that
// relates to another itself (Validation of m.thread relationships).
func (w *writer) mayRelate(who Actor, typ string, content jsontext.Value) error {
	parent, relType, key, ok := storage.RelationIn(typ, content)
	switch {
	case !ok:
		return nil
	case relType == storage.RelAnnotation:
		again, err := w.tx.Annotated(w.room.ID, parent, who.User, typ, key)
		if err == nil && again {
			err = matrix.Errorf(matrix.CodeDuplicateAnnotation, "You have reacted so already.").WithStatus(http.StatusBadRequest)
		}
		return err
	case relType == storage.RelThread:
		root, err := w.tx.Event(parent)
		if errors.Is(err, storage.ErrNotFound) {
			return nil // it may be on its way
		}
		if err != nil {
			return err
		}
		if _, _, _, related := storage.RelationOf(root.Event); related {
			return matrix.Errorf(matrix.CodeUnknown, "A thread cannot begin at an event that relates to another.").
				WithStatus(http.StatusBadRequest)
		}
	}
	return nil
}
