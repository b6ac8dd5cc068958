//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// history is what was said, and what belongs to it.
func (w *world) history() {
	anna, ben, stranger := w.register(w.t, "history-anna"), w.register(w.t, "history-ben"), w.register(w.t, "history-stranger")
	id, at := anna.createRoom(object{"preset": "private_chat", "name": "Letters", "invite": []string{ben.id}})
	ben.join(at)
	first := anna.say(at, "m.room.message", "1", message("the pomegranate is ripe"))
	to := func(kind string, more object) object {
		relation := object{"rel_type": kind, "event_id": first}
		maps.Copy(relation, more)
		return relation
	}
	edit := message("* the pomegranates are ripe")
	edit["m.new_content"], edit["m.relates_to"] = message("the pomegranates are ripe"), to("m.replace", nil)
	anna.say(at, "m.room.message", "2", edit)
	ben.say(at, "m.reaction", "3", object{"m.relates_to": to("m.annotation", object{"key": "!"})})
	reply := message("six seeds, then")
	reply["m.relates_to"] = to("m.thread", nil)
	last := ben.say(at, "m.room.message", "4", reply)
	both := func(path string) answer {
		w.t.Helper()
		stranger.call(http.MethodGet, path, nil).refused()
		return anna.call(http.MethodGet, path, nil).want(http.StatusOK, "")
	}
	both(at + path("/event/%s", first))
	both(at + path("/context/%s", first) + "?limit=2")
	page := both(at + "/messages?dir=b&limit=3&filter=" + url.QueryEscape(`{"lazy_load_members":true}`))
	both(at + "/messages?dir=b&limit=3&from=" + url.QueryEscape(page.text("end")))
	both(at + "/messages?dir=f")
	anna.call(http.MethodGet, at+"/messages", nil).want(http.StatusBadRequest, "M_MISSING_PARAM")
	anna.call(http.MethodGet, at+"/messages?dir=b&from=none", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
	anna.call(http.MethodGet, at+path("/event/%s", "$none"), nil).want(http.StatusNotFound, "M_NOT_FOUND")
	anna.call(http.MethodGet, at+path("/context/%s", "$none"), nil).want(http.StatusNotFound, "M_NOT_FOUND")

	one := strings.Replace(at, v3, v1, 1)
	related := path("/relations/%s", first)
	for _, path := range []string{
		related, related + "?dir=f&recurse=true&limit=1", related + "/m.thread", related + "/m.annotation/m.reaction",
	} {
		both(one + path)
	}
	both(one + "/threads?include=participated&limit=1")
	both(one + "/timestamp_to_event?dir=f&ts=0")
	anna.call(http.MethodGet, one+"/threads?include=some", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
	anna.call(http.MethodGet, one+"/timestamp_to_event?dir=b&ts=0", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	w.search(anna, stranger, id)
	w.receipts(anna, ben, stranger, at, last)
	w.oldWays(anna, stranger, at, first)
}

// search finds words.
func (w *world) search(anna, stranger *person, room string) {
	search := func(by *person, events object) answer {
		return by.call(http.MethodPost, v3+"/search", object{"search_categories": object{"room_events": events}})
	}
	for by, want := range map[*person]float64{anna: 2, stranger: 0} {
		got := search(by, object{
			"search_term": "ripe", "order_by": "recent", "include_state": true, "keys": []string{"content.body"},
			"filter":        object{"limit": 5},
			"event_context": object{"before_limit": 1, "after_limit": 1, "include_profile": true},
			"groupings":     object{"group_by": []object{{"key": "room_id"}, {"key": "sender"}}},
		}).want(http.StatusOK, "")
		events := got.json()["search_categories"].(object)["room_events"].(object)
		if events["count"] != want {
			w.t.Errorf("in %s %s finds %s", room, by.id, got.body)
		}
	}
	search(anna, object{"search_term": "ripe", "order_by": "rank"}).want(http.StatusOK, "")
	search(anna, object{}).want(http.StatusBadRequest, "M_MISSING_PARAM")
	search(anna, object{"search_term": "x", "order_by": "luck"}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	w.client.call(http.MethodPost, v3+"/search", object{}).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
}

// receipts, markers, counts and notifications.
func (w *world) receipts(anna, ben, stranger *person, at, last string) {
	got := anna.call(http.MethodGet, v3+"/notifications?limit=1", nil).want(http.StatusOK, "")
	if list, _ := got.json()["notifications"].([]any); len(list) != 1 {
		w.t.Errorf("of what ben said anna has the notifications %s", got.body)
	}
	anna.call(http.MethodGet, v3+"/notifications?only=highlight", nil).want(http.StatusOK, "")
	anna.call(http.MethodGet, v3+"/notifications?limit=all", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
	for _, kind := range []string{"m.read", "m.read.private", "m.fully_read"} {
		receipt := at + path("/receipt/%s/%s", kind, last)
		anna.call(http.MethodPost, receipt, object{}).want(http.StatusOK, "")
		stranger.call(http.MethodPost, receipt, object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	}
	ben.call(http.MethodPost, at+path("/receipt/m.read/%s", last), object{"thread_id": "main"}).refused() // it is in a thread
	anna.call(http.MethodPost, at+path("/receipt/m.seen/%s", last), object{}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	anna.call(http.MethodPost, at+"/read_markers", object{
		"m.fully_read": last, "m.read": last, "m.read.private": last,
	}).want(http.StatusOK, "")
	stranger.call(http.MethodPost, at+"/read_markers", object{"m.read": last}).want(http.StatusForbidden, "M_FORBIDDEN")
	ben.sync(nil)
}

// oldWays are what was before /sync.
func (w *world) oldWays(anna, stranger *person, at, event string) {
	anna.call(http.MethodGet, v3+"/initialSync?limit=3&archived=true", nil).want(http.StatusOK, "")
	anna.call(http.MethodGet, v3+"/initialSync?limit=many", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
	anna.call(http.MethodGet, at+"/initialSync", nil).want(http.StatusOK, "")
	stranger.call(http.MethodGet, at+"/initialSync", nil).want(http.StatusForbidden, "M_FORBIDDEN")
	one := path(v3+"/events/%s", event)
	anna.call(http.MethodGet, one, nil).want(http.StatusOK, "").text("event_id")
	stranger.call(http.MethodGet, one, nil).want(http.StatusNotFound, "M_NOT_FOUND")
	from := anna.call(http.MethodGet, v3+"/events?timeout=0", nil).want(http.StatusOK, "").text("end")
	anna.say(at, "m.room.message", "5", message("the last of them"))
	got := anna.call(http.MethodGet, v3+"/events?timeout=30000&from="+url.QueryEscape(from), nil).want(http.StatusOK, "")
	if !strings.Contains(string(got.body), "the last of them") {
		w.t.Errorf("GET /events has %s", got.body)
	}
	anna.call(http.MethodGet, v3+"/events?from=none", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
}
