package history

import (
	"cmp"
	"context"
	"encoding/base64"
	"math"
	"slices"

	"github.com/go-json-experiment/json"

	"lethe/internal/door"
	"lethe/internal/filter"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
)

const (
	// maxCandidates bounds the events that one request looks at. Results are ranked
	// and counted among these; what is older comes with the next pages.
	maxCandidates = 1000
	searchBatch   = 200
	maxTerms      = 32
	maxResults    = 100
	maxAround     = 20
)

// Search is what somebody searches for (CS API, POST /search).
type Search struct {
	Term      string
	Types     []string // of events; those of the keys
	Filter    filter.Events
	Recent    bool     // the newest first, and not the best
	GroupBy   []string // "room_id", "sender"
	Context   *SearchContext
	WithState bool
	From      string // next_batch; "" for the beginning
}

// SearchContext says what is wanted of what is around results.
type SearchContext struct {
	Before, After int
	Profiles      bool
}

// Found is the answer to a search.
type Found struct {
	Count      int
	Highlights []string
	Results    []Result
	State      map[matrix.RoomID][]door.Event      // nil if it was not asked for
	Groups     map[string]map[string]*ResultsGroup // by what they are groups, and of what
	NextBatch  string
}

// Result is an event that was found.
type Result struct {
	Rank     float64
	Event    door.Event
	Context  *Surroundings
	Profiles map[matrix.UserID]door.Content
	room     matrix.RoomID
	stored   *storage.Event
}

// ResultsGroup are the results that have something in common.
type ResultsGroup struct {
	Order     int      `json:"order"`
	Results   []string `json:"results"`
	NextBatch string   `json:"next_batch,omitzero"`
}

// batch is what is in a next_batch: the results are those among the candidates
// below a position, without the first ones, and of one group, if it has a key. The
// zero value is the beginning.
type batch struct {
	Below int64  `json:"b"`
	Skip  int    `json:"s"`
	Key   string `json:"k,omitzero"`
	Value string `json:"v,omitzero"`
}

func (b batch) token() string {
	raw, err := json.Marshal(b)
	if err != nil {
		panic(err) // numbers and texts that came out of JSON
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parseBatch(token string) (b batch, err error) {
	if token == "" {
		return b, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil || b.Skip < 0 {
		return b, matrix.Errorf(matrix.CodeInvalidParam, "%.100q is no next_batch of a search.", token)
	}
	return b, nil
}

// of is what a result has in common with others of its group.
func (r *Result) of(key string) string {
	if key == "sender" {
		return string(r.stored.Sender())
	}
	return string(r.room)
}

// Search finds events in the rooms that a user is in, or was and has not
// forgotten. What they may not see whole is not looked at.
func (s *Service) Search(ctx context.Context, who door.Reader, q Search) (f Found, err error) {
	from, err := parseBatch(q.From)
	if err != nil {
		return f, err
	}
	words := storage.Words(q.Term)
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) > maxTerms {
		return f, matrix.Errorf(matrix.CodeInvalidParam, "A search has %d words at most.", maxTerms)
	}
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		c := &search{s: s, tx: tx, who: who, q: q, words: words, from: from, visits: map[matrix.RoomID]*door.Visit{}}
		f, err = c.run()
		return err
	})
	return f, err
}

// search is one search under way.
type search struct {
	s      *Service
	tx     *storage.Tx
	who    door.Reader
	q      Search
	words  []string
	from   batch
	visits map[matrix.RoomID]*door.Visit
	lit    map[string]bool // words of results that were searched for
	rest   int64           // where the next candidates begin; 0 where there are none
}

func (c *search) run() (f Found, err error) {
	f = Found{Results: []Result{}, Highlights: []string{}}
	c.lit = map[string]bool{}
	if c.from.Below == 0 { // what comes later does not move the results of the next pages
		pos, err := c.tx.Pos()
		if err != nil {
			return f, err
		}
		c.from.Below = pos + 1
	}
	all, err := c.candidates()
	if err != nil {
		return f, err
	}
	if !c.q.Recent {
		slices.SortStableFunc(all, func(a, b Result) int { return cmp.Compare(b.Rank, a.Rank) })
	}
	f.Count = len(all)
	first := min(c.from.Skip, len(all))
	last := min(first+max(min(c.q.Filter.LimitOr(10), maxResults), 1), len(all))
	f.Results = append(f.Results, all[first:last]...)
	f.NextBatch = c.next(all, last, c.from.Key, c.from.Value)
	f.Groups = c.groups(all, first, last)
	for word := range c.lit {
		f.Highlights = append(f.Highlights, word)
	}
	slices.Sort(f.Highlights)
	for i := range f.Results {
		if err := c.complete(&f.Results[i]); err != nil {
			return f, err
		}
	}
	if c.q.WithState {
		f.State, err = c.states(f.Results)
	}
	return f, err
}

// next is the token of what comes after the first n of the results, "" if that is
// nothing.
func (c *search) next(all []Result, n int, key, value string) string {
	switch {
	case n < len(all):
		return batch{c.from.Below, n, key, value}.token()
	case c.rest != 0:
		return batch{c.rest, 0, key, value}.token()
	}
	return ""
}

// rooms are those to search in.
func (c *search) rooms() (rooms []matrix.RoomID, err error) {
	memberships, err := c.tx.MembershipsOf(c.who.User)
	for _, m := range memberships {
		inGroup := c.from.Key != "room_id" || c.from.Value == string(m.Room)
		if c.q.Filter.WantsRoom(m.Room) && inGroup {
			rooms = append(rooms, m.Room)
		}
	}
	return rooms, err
}

// candidates are the results among the next events that have the words, the
// newest first.
func (c *search) candidates() (results []Result, err error) {
	rooms, err := c.rooms()
	if err != nil {
		return nil, err
	}
	below := c.from.Below
	for scanned := 0; scanned < maxCandidates; {
		events, err := c.tx.Search(storage.SearchQuery{
			Rooms: rooms, Types: c.q.Types, Words: c.words, Before: below, Limit: searchBatch,
		})
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			r, ok, err := c.look(e)
			if err != nil {
				return nil, err
			}
			if ok {
				results = append(results, r)
			}
		}
		if len(events) < searchBatch {
			return results, nil
		}
		scanned += len(events)
		below = events[len(events)-1].Pos
	}
	c.rest = below
	return results, nil
}

func (c *search) visit(room matrix.RoomID) (*door.Visit, error) {
	if v := c.visits[room]; v != nil {
		return v, nil
	}
	v, err := c.s.door.Enter(c.tx, c.who, room)
	c.visits[room] = v
	return v, err
}

// look makes a result of a candidate, if it is one for the reader.
func (c *search) look(e *storage.Event) (r Result, ok bool, err error) {
	if !c.q.Filter.Wants(e.Event) || c.from.Key == "sender" && c.from.Value != string(e.Sender()) {
		return r, false, nil
	}
	v, err := c.visit(e.RoomID())
	if err != nil || v.Ignores(e.Sender()) {
		return r, false, err
	}
	if whole, err := v.Whole(e); err != nil || !whole {
		return r, false, err
	}
	text, _ := storage.SearchText(e.Event)
	r = Result{room: e.RoomID(), stored: e}
	r.Rank, ok = c.rank(storage.Words(text))
	return r, ok, nil
}

// rank tells how well words match those that are searched for, between 0 and 1,
// and whether all of these are there: how much of the text they are, and a word
// itself counts more than one that begins with it.
func (c *search) rank(text []string) (rank float64, ok bool) {
	var lit []string
	for _, wanted := range c.words {
		best := 0.0
		for _, word := range text {
			switch {
			case word == wanted:
				best++
			case storage.WordMatches(wanted, word):
				best += 0.5
			default:
				continue
			}
			lit = append(lit, word)
		}
		if best == 0 {
			return 0, false
		}
		rank += best / (best + 1)
	}
	for _, word := range lit {
		c.lit[word] = true
	}
	return rank / float64(len(c.words)) / (1 + math.Log10(1+float64(len(text)))), true
}

// groups are the groups of those results that go out.
func (c *search) groups(all []Result, first, last int) map[string]map[string]*ResultsGroup {
	if len(c.q.GroupBy) == 0 {
		return nil
	}
	groups := map[string]map[string]*ResultsGroup{}
	for _, key := range c.q.GroupBy {
		groups[key] = map[string]*ResultsGroup{}
		for i := first; i < last; i++ {
			value := all[i].of(key)
			g := groups[key][value]
			if g == nil {
				g = &ResultsGroup{Order: len(groups[key]) + 1}
				groups[key][value] = g
			}
			g.Results = append(g.Results, all[i].stored.ID())
		}
		for value, g := range groups[key] {
			same := slices.DeleteFunc(slices.Clone(all), func(r Result) bool { return r.of(key) != value })
			shown := 0
			for i := range all[:last] {
				if all[i].of(key) == value {
					shown++
				}
			}
			g.NextBatch = c.next(same, shown, key, value)
		}
	}
	return groups
}

// complete serves a result, with what is around it.
func (c *search) complete(r *Result) error {
	v, err := c.visit(r.room)
	if err != nil {
		return err
	}
	served, err := v.Serve([]*storage.Event{r.stored}, door.Format{Bundle: true})
	if err == nil && len(served) == 0 {
		err = errNoEvent
	}
	if err != nil {
		return err
	}
	r.Event = served[0]
	if c.q.Context == nil {
		return nil
	}
	before, err := newWalk(c.tx, v, Page{From: position.InRoom(r.stored.Pos - 1), Back: true})
	if err != nil {
		return err
	}
	after, err := newWalk(c.tx, v, Page{From: position.InRoom(r.stored.Pos)})
	if err != nil {
		return err
	}
	r.Context = &Surroundings{}
	if r.Context.Before, err = before.events(min(c.q.Context.Before, maxAround)); err != nil {
		return err
	}
	if r.Context.After, err = after.events(min(c.q.Context.After, maxAround)); err != nil {
		return err
	}
	r.Context.Start, r.Context.End = position.InRoom(before.pos), position.InRoom(after.pos)
	if !c.q.Context.Profiles {
		return nil
	}
	root, err := c.s.after(c.tx, v, after.pos)
	if err != nil {
		return err
	}
	users := []matrix.UserID{r.Event.Sender()}
	for _, e := range slices.Concat(r.Context.Before, r.Context.After) {
		if !slices.Contains(users, e.Sender()) {
			users = append(users, e.Sender())
		}
	}
	r.Profiles, err = v.Profiles(root, users)
	return err
}

// states are the current state of each room in the results.
func (c *search) states(results []Result) (map[matrix.RoomID][]door.Event, error) {
	states := map[matrix.RoomID][]door.Event{}
	for _, r := range results {
		if _, ok := states[r.room]; ok {
			continue
		}
		v := c.visits[r.room]
		root, err := c.s.root(c.tx, v)
		if err != nil {
			return nil, err
		}
		if states[r.room], err = v.ServeState(root, nil, door.Format{}); err != nil {
			return nil, err
		}
	}
	return states, nil
}
