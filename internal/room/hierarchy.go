package room

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

const (
	// defaultTree is how many rooms of a space are on a page if nobody says, maxTree
	// how many at most.
	defaultTree = 50
	maxTree     = 100
	// maxWalk bounds how many rooms are looked at for a page: what a space has
	// beyond that is not shown.
	maxWalk = 5000
	// treeTokens is how long the token of a next page is good.
	treeTokens = time.Hour
)

// TreeQuery says what of a space is wanted (CS API, GET
// /rooms/{roomId}/hierarchy).
type TreeQuery struct {
	SuggestedOnly bool
	Limit         int // 0 for as many as the server likes
	MaxDepth      int // -1 for no limit
	From          string
}

// TreeRoom is a room of a space.
type TreeRoom struct {
	Summary
	Children []door.Event `json:"children_state"`
}

// Tree is a page of a space.
type Tree struct {
	Rooms []TreeRoom `json:"rooms"`
	Next  string     `json:"next_batch,omitzero"`
}

// treeToken is what the token of a next page says. The tree is walked again from
// its root: how far is what is in it, and whoever makes one of their own sees
// nothing that they would not see without.
type treeToken struct {
	Room      matrix.RoomID    `json:"r"`
	Suggested bool             `json:"s,omitzero"`
	MaxDepth  int              `json:"d"`
	Skip      int              `json:"n"`
	At        matrix.Timestamp `json:"t"`
}

func (t treeToken) String() string {
	raw, _ := json.Marshal(t) // it is made of texts and numbers
	return base64.RawURLEncoding.EncodeToString(raw)
}

// page is the token that a query goes on from.
func (s *Service) page(room matrix.RoomID, q TreeQuery) (t treeToken, err error) {
	fresh := treeToken{Room: room, Suggested: q.SuggestedOnly, MaxDepth: q.MaxDepth, At: s.now()}
	if q.From == "" {
		return fresh, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.From)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	age := time.Duration(s.now()-t.At) * time.Millisecond
	switch {
	case err != nil, t.Room != room, t.Skip < 0, age < 0, age > treeTokens:
		return t, matrix.Errorf(matrix.CodeInvalidParam, "from is no token of this space, or not any more.")
	case t.Suggested != q.SuggestedOnly, t.MaxDepth != q.MaxDepth:
		return t, matrix.Errorf(matrix.CodeInvalidParam, "suggested_only and max_depth cannot change from one page to the next.")
	}
	fresh.Skip = t.Skip
	return fresh, nil
}

var errNoSpace = matrix.Errorf(matrix.CodeForbidden, "You may not look at this room.")

// Hierarchy is a page of the rooms of a space, depth first (CS API, GET
// /rooms/{roomId}/hierarchy): of those that the reader may see, each once.
func (s *Service) Hierarchy(ctx context.Context, who door.Reader, room matrix.RoomID, q TreeQuery) (tree Tree, err error) {
	token, err := s.page(room, q)
	if err != nil {
		return tree, err
	}
	if q.Limit == 0 {
		q.Limit = defaultTree
	}
	limit := min(q.Limit, maxTree)
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		t := walk{s: s, tx: tx, who: who, token: token, limit: limit}
		if err := t.run(); err != nil {
			return err
		}
		tree = t.tree
		return nil
	})
	return tree, err
}

// walk goes through a space.
type walk struct {
	s     *Service
	tx    *storage.Tx
	who   door.Reader
	token treeToken
	limit int
	tree  Tree
}

// place is a room that the walk comes to.
type place struct {
	room  matrix.RoomID
	depth int
}

func (t *walk) run() error {
	t.tree.Rooms = []TreeRoom{}
	seen := map[matrix.RoomID]bool{}
	shown := 0
	for stack := []place{{room: t.token.Room}}; len(stack) > 0 && len(seen) < maxWalk; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[at.room] {
			continue
		}
		seen[at.room] = true
		room, children, ok, err := t.visit(at.room)
		if err != nil {
			return err
		}
		switch {
		case !ok && at.depth == 0:
			return errNoSpace
		case !ok:
			continue
		case len(t.tree.Rooms) == t.limit:
			t.token.Skip = shown
			t.tree.Next = t.token.String()
			return nil
		}
		if shown++; shown > t.token.Skip {
			if err := t.show(room, children); err != nil {
				return err
			}
		}
		if t.token.MaxDepth >= 0 && at.depth >= t.token.MaxDepth {
			continue
		}
		for _, c := range slices.Backward(children) {
			stack = append(stack, place{c.room, at.depth + 1})
		}
	}
	return nil
}

// visit looks at a room; not ok is one that the reader does not see.
func (t *walk) visit(id matrix.RoomID) (sum Summary, children []child, ok bool, err error) {
	w, err := t.s.look(t.tx, id)
	if matrix.CodeOf(err) == matrix.CodeNotFound {
		return sum, nil, false, nil
	}
	if err != nil {
		return sum, nil, false, err
	}
	found, ok, err := w.preview(t.who.User)
	if err != nil || !ok {
		return sum, nil, false, err
	}
	if found.Type == roomTypeSpace {
		children, err = w.children(t.token.Suggested)
	}
	return found.Summary, children, true, err
}

// show adds a room to the page.
func (t *walk) show(sum Summary, children []child) error {
	room := TreeRoom{Summary: sum, Children: []door.Event{}}
	if len(children) > 0 {
		v, err := t.s.events.Enter(t.tx, t.who, sum.RoomID)
		if err != nil {
			return err
		}
		keys := make([]event.Key, len(children))
		for i, c := range children {
			keys[i] = event.Key{Type: typeSpaceChild, StateKey: string(c.room)}
		}
		room.Children, err = v.ServeState(v.Room().State, keys, door.Format{Kind: door.Dated})
		if err != nil {
			return err
		}
	}
	t.tree.Rooms = append(t.tree.Rooms, room)
	return nil
}

// child is a room that a space says is in it.
type child struct {
	room  matrix.RoomID
	order string // "" for none
	at    matrix.Timestamp
}

// children are the children of a space, in their order (CS API, Ordering of
// children within a space).
func (w *writer) children(suggestedOnly bool) ([]child, error) {
	ids, err := w.s.trees.OfType(w.tx, w.room.ID, state.Root(w.room.State), typeSpaceChild)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, id := range ids {
		list = append(list, id)
	}
	events, err := w.s.events.Events(w.tx, list)
	if err != nil {
		return nil, err
	}
	var children []child
	for _, e := range events {
		c, suggested, ok := readChild(e)
		if ok && (suggested || !suggestedOnly) {
			children = append(children, c)
		}
	}
	slices.SortFunc(children, func(a, b child) int {
		if (a.order == "") != (b.order == "") { // those with an order come first
			return -cmp.Compare(a.order, b.order)
		}
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.at, b.at), cmp.Compare(a.room, b.room))
	})
	return children, nil
}

// maxOrder is how long an order may be (CS API, m.space.child).
const maxOrder = 50

// readChild reads an m.space.child event. It is not ok where it says of no servers
// that they have the room: so children are taken out of spaces.
func readChild(e *storage.Event) (c child, suggested, ok bool) {
	content := fields(e)
	var via []jsontext.Value
	key, _ := e.StateKey()
	room, err := matrix.ParseRoomID(key)
	if err != nil || json.Unmarshal(content["via"], &via) != nil || len(via) == 0 {
		return c, false, false
	}
	order := textIn(content, "order")
	valid := len(order) <= maxOrder && !slices.ContainsFunc([]byte(order), func(b byte) bool { return b < ' ' || b > '~' })
	if !valid {
		order = ""
	}
	return child{room, order, e.Timestamp()}, string(content["suggested"]) == "true", true
}
