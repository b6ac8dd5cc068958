package clientapi

import (
	"net/http"
	"slices"

	"lethe/internal/account"
	"lethe/internal/door"
	"lethe/internal/filter"
	"lethe/internal/history"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) searchRoutes() []wire.Route {
	return []wire.Route{{Method: http.MethodPost, Path: "/_matrix/client/v3/search", Handle: a.member(a.search)}}
}

// searchKeys are the keys that can be searched, with the events that have them.
var searchKeys = map[string]string{
	"content.body": "m.room.message", "content.name": "m.room.name", "content.topic": "m.room.topic",
}

// searchBody is what is searched for, of room_events.
type searchBody struct {
	Term    *string        `json:"search_term"`
	Keys    []string       `json:"keys"`
	Filter  filter.Events  `json:"filter"`
	OrderBy string         `json:"order_by"`
	Context *searchContext `json:"event_context"`
	State   bool           `json:"include_state"`
	Groups  struct {
		By []struct {
			Key string `json:"key"`
		} `json:"group_by"`
	} `json:"groupings"`
}

type searchContext struct {
	Before   *int64 `json:"before_limit"`
	After    *int64 `json:"after_limit"`
	Profiles bool   `json:"include_profile"`
}

// search is POST /search.
func (a *API) search(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Categories *struct {
			Events *searchBody `json:"room_events"`
		} `json:"search_categories"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.Categories == nil {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "search_categories is missing.")
	}
	categories := map[string]any{}
	if body := q.Categories.Events; body != nil {
		s, err := body.search()
		if err != nil {
			return nil, err
		}
		s.From = r.Query("next_batch")
		found, err := a.History.Search(r.Context(), reader(who), s)
		if err != nil {
			return nil, err
		}
		categories["room_events"] = searchAnswer(found)
	}
	return map[string]any{"search_categories": categories}, nil
}

// search checks the request.
func (b *searchBody) search() (s history.Search, err error) {
	if b.Term == nil {
		return s, matrix.Errorf(matrix.CodeMissingParam, "search_term is missing.")
	}
	s = history.Search{Term: *b.Term, Filter: b.Filter, Recent: b.OrderBy == "recent", WithState: b.State}
	if b.OrderBy != "" && b.OrderBy != "recent" && b.OrderBy != "rank" {
		return s, matrix.Errorf(matrix.CodeInvalidParam, "order_by is recent or rank.")
	}
	if b.Keys == nil {
		b.Keys = []string{"content.body", "content.name", "content.topic"}
	}
	for _, key := range b.Keys {
		typ, ok := searchKeys[key]
		if !ok {
			return s, matrix.Errorf(matrix.CodeInvalidParam, "%.100q is no key that can be searched.", key)
		}
		s.Types = append(s.Types, typ)
	}
	for _, group := range b.Groups.By {
		if group.Key != "room_id" && group.Key != "sender" {
			return s, matrix.Errorf(matrix.CodeInvalidParam, "Results are grouped by room_id or sender.")
		}
		if !slices.Contains(s.GroupBy, group.Key) {
			s.GroupBy = append(s.GroupBy, group.Key)
		}
	}
	if c := b.Context; c != nil {
		s.Context = &history.SearchContext{Before: limitOf(c.Before), After: limitOf(c.After), Profiles: c.Profiles}
	}
	return s, b.Filter.Check()
}

// limitOf is a limit of the context of results: 5 if there is none.
func limitOf(limit *int64) int {
	if limit == nil {
		return 5
	}
	return int(max(min(*limit, filter.MaxLimit), 0))
}

// searchEvents is the answer for the category room_events.
type searchEvents struct {
	Count      int                                         `json:"count"`
	Highlights []string                                    `json:"highlights"`
	Results    []searchResult                              `json:"results"`
	State      map[matrix.RoomID][]door.Event              `json:"state,omitzero"`
	Groups     map[string]map[string]*history.ResultsGroup `json:"groups,omitzero"`
	NextBatch  string                                      `json:"next_batch,omitzero"`
}

type searchResult struct {
	Rank    float64      `json:"rank"`
	Event   door.Event   `json:"result"`
	Context *aroundFound `json:"context,omitzero"`
}

type aroundFound struct {
	Start    string                         `json:"start"`
	End      string                         `json:"end"`
	Before   []door.Event                   `json:"events_before"`
	After    []door.Event                   `json:"events_after"`
	Profiles map[matrix.UserID]door.Content `json:"profile_info,omitzero"`
}

func searchAnswer(f history.Found) searchEvents {
	answer := searchEvents{
		Count: f.Count, Highlights: f.Highlights, State: f.State, Groups: f.Groups, NextBatch: f.NextBatch,
		Results: make([]searchResult, 0, len(f.Results)),
	}
	for _, r := range f.Results {
		result := searchResult{Rank: r.Rank, Event: r.Event}
		if c := r.Context; c != nil {
			result.Context = &aroundFound{c.Start, c.End, c.Before, c.After, r.Profiles}
		}
		answer.Results = append(answer.Results, result)
	}
	return answer
}
