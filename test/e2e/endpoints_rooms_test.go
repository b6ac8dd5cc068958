//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
)

// createRoom makes a room, and returns its id and the beginning of its paths.
func (p *person) createRoom(options object) (id, at string) {
	p.t.Helper()
	id = p.call(http.MethodPost, v3+"/createRoom", options).want(http.StatusOK, "").text("room_id")
	return id, path(v3+"/rooms/%s", id)
}

// join goes into a room.
func (p *person) join(at string) {
	p.t.Helper()
	p.call(http.MethodPost, at+"/join", object{}).want(http.StatusOK, "")
}

// say sends an event, and returns its id.
func (p *person) say(at, kind, txn string, content object) string {
	p.t.Helper()
	return p.call(http.MethodPut, at+path("/send/%s/%s", kind, txn), content).want(http.StatusOK, "").text("event_id")
}

func message(text string) object { return object{"msgtype": "m.text", "body": text} }

// rooms are made, written in, and changed, and people come and go.
func (w *world) rooms() {
	anna, ben, stranger := w.register(w.t, "anna"), w.register(w.t, "ben"), w.register(w.t, "stranger")
	const create = v3 + "/createRoom"
	anna.call(http.MethodPost, create, object{"preset": "no_preset"}).want(http.StatusBadRequest, "")
	anna.call(http.MethodPost, create, object{"room_version": "no version"}).want(http.StatusBadRequest, "M_UNSUPPORTED_ROOM_VERSION")
	anna.call(http.MethodPost, create, object{"invite": []string{"nobody"}}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	w.client.call(http.MethodPost, create, object{}).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	id, at := anna.createRoom(object{
		"preset": "public_chat", "name": "The garden", "topic": "Weeds", "room_alias_name": "garden", "visibility": "public",
		"initial_state":                []object{{"type": "org.example.soil", "content": object{"ph": 7}}},
		"power_level_content_override": object{"events": object{"org.example.soil": 50}},
		"creation_content":             object{"org.example.plot": "4b"},
	})
	for _, version := range []string{"1", "3", "6", "10", "11", "12"} {
		anna.createRoom(object{"room_version": version, "preset": "private_chat", "invite": []string{ben.id}, "is_direct": true})
	}
	w.writing(anna, stranger, at)
	w.states(anna, stranger, at)
	w.comings(anna, ben, stranger, at)
	w.knocks(anna, ben)
	w.tags(anna, ben, id)
	w.upgrades(anna, stranger, at)
}

// writing sends and redacts.
func (w *world) writing(anna, stranger *person, at string) {
	first := anna.say(at, "m.room.message", "1", message("weeds everywhere"))
	if again := anna.say(at, "m.room.message", "1", message("weeds everywhere")); again != first {
		w.t.Errorf("the same transaction made %s and %s", first, again)
	}
	send := at + "/send/m.room.message/2"
	stranger.call(http.MethodPut, send, message("hello")).want(http.StatusForbidden, "M_FORBIDDEN")
	anna.call(http.MethodPut, send, "[]").want(http.StatusBadRequest, "M_BAD_JSON")
	anna.call(http.MethodPut, send, `{"n": 1.5}`).want(http.StatusBadRequest, "M_BAD_JSON")
	anna.call(http.MethodPut, path(v3+"/rooms/%s/send/m.room.message/2", "no room"), object{}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	redact := at + path("/redact/%s/3", first)
	stranger.call(http.MethodPut, redact, object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	anna.call(http.MethodPut, redact, object{"reason": "not so many"}).want(http.StatusOK, "").text("event_id")
	anna.call(http.MethodPut, at+path("/redact/%s/4", "$none"), object{}).refused()
}

// states are set and read, with the paths that they have.
func (w *world) states(anna, stranger *person, at string) {
	for _, state := range []string{"/state/m.room.topic", "/state/m.room.topic/", "/state/org.example.bed/north"} {
		content := object{"topic": "Weeds, at " + state}
		anna.call(http.MethodPut, at+state, content).want(http.StatusOK, "").text("event_id")
		if got := anna.call(http.MethodGet, at+state, nil).want(http.StatusOK, "").text("topic"); got != content["topic"] {
			w.t.Errorf("%s is %s", state, got)
		}
		anna.call(http.MethodGet, at+state+"?format=event", nil).want(http.StatusOK, "").text("event_id")
		stranger.call(http.MethodPut, at+state, content).want(http.StatusForbidden, "M_FORBIDDEN")
		stranger.call(http.MethodGet, at+state, nil).want(http.StatusForbidden, "M_FORBIDDEN")
	}
	anna.call(http.MethodGet, at+"/state/org.example.none", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	anna.call(http.MethodPut, at+"/state/m.room.power_levels", object{"users": "all"}).refused()
	anna.call(http.MethodPut, at+"/state/m.room.canonical_alias", object{"alias": "#none:" + w.name}).want(http.StatusBadRequest, "M_BAD_ALIAS")
	anna.call(http.MethodGet, at+"/state", nil).want(http.StatusOK, "")
	stranger.call(http.MethodGet, at+"/state", nil).want(http.StatusForbidden, "M_FORBIDDEN")
}

// comings and goings: join, leave, invite, kick, ban, unban and forget.
func (w *world) comings(anna, ben, stranger *person, at string) {
	do := func(by *person, what string, body any) answer { return by.call(http.MethodPost, at+"/"+what, body) }
	to := func(p *person) object { return object{"user_id": p.id, "reason": "because"} }
	for _, what := range []string{"invite", "kick", "ban", "unban"} {
		do(stranger, what, to(ben)).want(http.StatusForbidden, "M_FORBIDDEN")
		do(anna, what, object{}).want(http.StatusBadRequest, "M_MISSING_PARAM")
		do(anna, what, object{"user_id": "nobody"}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	}
	do(anna, "invite", to(ben)).want(http.StatusOK, "")
	do(ben, "leave", nil).want(http.StatusOK, "") // refuses
	do(ben, "join", object{"reason": "after all"}).want(http.StatusOK, "").text("room_id")
	do(anna, "invite", to(ben)).want(http.StatusForbidden, "M_FORBIDDEN")
	do(ben, "forget", nil).want(http.StatusBadRequest, "M_UNKNOWN")
	do(anna, "kick", to(ben)).want(http.StatusOK, "")
	do(ben, "forget", nil).want(http.StatusOK, "")
	do(anna, "ban", to(ben)).want(http.StatusOK, "")
	do(ben, "join", object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	do(anna, "unban", to(ben)).want(http.StatusOK, "")
	joined := ben.call(http.MethodPost, path(v3+"/join/%s", "#garden:"+w.name)+"?via="+url.QueryEscape(w.name), object{})
	joined.want(http.StatusOK, "").text("room_id")
	ben.call(http.MethodPost, path(v3+"/join/%s", "#none:"+w.name), object{}).want(http.StatusNotFound, "M_NOT_FOUND")
	ben.call(http.MethodPost, path(v3+"/join/%s", "no room"), object{}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	do(stranger, "leave", object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	ben.call(http.MethodGet, v3+"/joined_rooms", nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, v3+"/joined_rooms", nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	for _, list := range []string{"members", "members?membership=join", "members?not_membership=leave", "joined_members"} {
		ben.call(http.MethodGet, at+"/"+list, nil).want(http.StatusOK, "")
		stranger.call(http.MethodGet, at+"/"+list, nil).want(http.StatusForbidden, "M_FORBIDDEN")
	}
	do(ben, "leave", object{"reason": "for today"}).want(http.StatusOK, "")
}

// knocks ask to be let in.
func (w *world) knocks(anna, ben *person) {
	id, at := anna.createRoom(object{
		"preset": "private_chat", "initial_state": []object{{"type": "m.room.join_rules", "content": object{"join_rule": "knock"}}},
	})
	knock := path(v3+"/knock/%s", id)
	ben.call(http.MethodPost, knock, object{"reason": "it rains"}).want(http.StatusOK, "").text("room_id")
	if got := ben.sync(nil).json()["rooms"].(object)["knock"]; got == nil {
		w.t.Error("a knock is not in the sync of who knocked")
	}
	anna.call(http.MethodPost, at+"/invite", object{"user_id": ben.id}).want(http.StatusOK, "")
	ben.join(at)
	ben.call(http.MethodPost, knock, object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	ben.call(http.MethodPost, path(v3+"/knock/%s", "#none:"+w.name), object{}).want(http.StatusNotFound, "M_NOT_FOUND")
}

// tags, and account data of a room.
func (w *world) tags(anna, ben *person, room string) {
	tags := path(v3+"/user/%s/rooms/%s/tags", anna.id, room)
	anna.call(http.MethodPut, tags+"/m.favourite", object{"order": 0.25}).want(http.StatusOK, "")
	anna.call(http.MethodPut, tags+"/u.work", object{}).want(http.StatusOK, "")
	anna.call(http.MethodPut, tags+"/u.work", object{"order": "first"}).want(http.StatusBadRequest, "")
	anna.call(http.MethodGet, tags, nil).want(http.StatusOK, "")
	anna.call(http.MethodDelete, tags+"/u.work", nil).want(http.StatusOK, "")
	for method, at := range map[string]string{
		http.MethodGet: tags, http.MethodPut: tags + "/u.work", http.MethodDelete: tags + "/u.work",
	} {
		ben.call(method, at, object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	}
}

// upgrades replace a room.
func (w *world) upgrades(anna, stranger *person, at string) {
	stranger.call(http.MethodPost, at+"/upgrade", object{"new_version": "12"}).want(http.StatusForbidden, "M_FORBIDDEN")
	anna.call(http.MethodPost, at+"/upgrade", object{"new_version": "none"}).want(http.StatusBadRequest, "M_UNSUPPORTED_ROOM_VERSION")
	_, old := anna.createRoom(object{"room_version": "10", "preset": "public_chat", "name": "The old garden"})
	anna.call(http.MethodPost, old+"/upgrade", object{"new_version": "12"}).want(http.StatusOK, "").text("replacement_room")
}

// sync asks for what is new, with parameters of the query.
func (p *person) sync(query url.Values) answer {
	p.t.Helper()
	return p.call(http.MethodGet, v3+"/sync?"+query.Encode(), nil).want(http.StatusOK, "")
}

// syncs are those that clients make, from the first to the last.
func (w *world) syncs() {
	anna, ben := w.register(w.t, "syncing-anna"), w.register(w.t, "syncing-ben")
	id, at := anna.createRoom(object{"preset": "public_chat", "name": "Sync", "invite": []string{ben.id}})
	ben.sync(nil) // with an invite
	ben.join(at)
	since := ben.sync(nil).text("next_batch")
	anna.say(at, "m.room.message", "1", message("new"))
	anna.call(http.MethodPut, at+path("/typing/%s", anna.id), object{"typing": true, "timeout": 30000}).want(http.StatusOK, "")
	filters := []object{
		{},
		{"room": object{"timeline": object{"limit": 1, "lazy_load_members": true}, "state": object{"lazy_load_members": true}}},
		{"room": object{"include_leave": true, "not_rooms": []string{"!none:example.org"}, "timeline": object{"unread_thread_notifications": true}}},
		{"event_fields": []string{"type", "content.body"}, "presence": object{"types": []string{"m.presence"}}},
		{"event_format": "federation", "account_data": object{"not_types": []string{"*"}}},
	}
	for _, f := range filters {
		raw, err := json.Marshal(f)
		if err != nil {
			w.t.Fatal(err)
		}
		ben.sync(url.Values{"filter": {string(raw)}})
		ben.sync(url.Values{"filter": {string(raw)}, "since": {since}})
	}
	stored := ben.call(http.MethodPost, path(v3+"/user/%s/filter", ben.id), filters[1]).want(http.StatusOK, "").text("filter_id")
	ben.sync(url.Values{"filter": {stored}, "since": {since}, "full_state": {"true"}})
	ben.sync(url.Values{"use_state_after": {"true"}, "set_presence": {"unavailable"}})
	anna.say(at, "m.room.message", "2", message("newer"))
	waited := ben.sync(url.Values{"since": {since}, "use_state_after": {"true"}, "timeout": {"30000"}})
	if rooms, _ := waited.json()["rooms"].(object); rooms["join"].(object)[id] == nil {
		w.t.Errorf("what is new did not come: %s", waited.body)
	}
	ben.call(http.MethodPost, at+"/leave", object{}).want(http.StatusOK, "")
	ben.sync(url.Values{"since": {since}})
	for query, code := range map[string]string{
		"since=none": "M_INVALID_PARAM", "timeout=long": "M_INVALID_PARAM", "full_state=yes": "M_INVALID_PARAM",
		"set_presence=here": "M_INVALID_PARAM", "filter=%7B": "M_NOT_JSON",
	} {
		ben.call(http.MethodGet, v3+"/sync?"+query, nil).want(http.StatusBadRequest, code)
	}
	ben.call(http.MethodGet, v3+"/sync?filter=none", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	w.client.call(http.MethodGet, v3+"/sync", nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
}

// moments are typing and presence.
func (w *world) moments() {
	anna, ben := w.register(w.t, "momentary-anna"), w.register(w.t, "momentary-ben")
	_, at := anna.createRoom(object{"preset": "public_chat"})
	typing := at + path("/typing/%s", anna.id)
	anna.call(http.MethodPut, typing, object{"typing": true, "timeout": 20000}).want(http.StatusOK, "")
	anna.call(http.MethodPut, typing, object{"typing": false}).want(http.StatusOK, "")
	anna.call(http.MethodPut, typing, object{}).want(http.StatusBadRequest, "M_MISSING_PARAM")
	ben.call(http.MethodPut, typing, object{"typing": true}).want(http.StatusForbidden, "M_FORBIDDEN")
	status := path(v3+"/presence/%s/status", anna.id)
	anna.call(http.MethodPut, status, object{"presence": "online", "status_msg": "weeding"}).want(http.StatusOK, "")
	anna.call(http.MethodPut, status, object{"presence": "here"}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	ben.call(http.MethodPut, status, object{"presence": "online"}).want(http.StatusForbidden, "M_FORBIDDEN")
	anna.call(http.MethodGet, status, nil).want(http.StatusOK, "")
	ben.call(http.MethodGet, status, nil).want(http.StatusForbidden, "M_FORBIDDEN") // they share no room
	ben.join(at)
	ben.call(http.MethodGet, status, nil).want(http.StatusOK, "")
	ben.sync(nil)
}

// reports go to the operators, whose notices go to people.
func (w *world) reports(admin *person) {
	anna, ben := w.register(w.t, "reporting-anna"), w.register(w.t, "reported-ben")
	id, at := anna.createRoom(object{"preset": "public_chat"})
	ben.join(at)
	event := ben.say(at, "m.room.message", "1", message("buy my seeds"))
	anna.call(http.MethodPost, at+"/report", object{"reason": "spam"}).want(http.StatusOK, "")
	anna.call(http.MethodPost, at+path("/report/%s", event), object{"reason": "spam", "score": -100}).want(http.StatusOK, "")
	anna.call(http.MethodPost, path(v3+"/users/%s/report", ben.id), object{"reason": "spam"}).want(http.StatusOK, "")
	anna.call(http.MethodPost, at+"/report", object{}).want(http.StatusBadRequest, "M_MISSING_PARAM")
	anna.call(http.MethodPost, at+path("/report/%s", "$none"), object{"reason": ""}).want(http.StatusNotFound, "M_NOT_FOUND")
	anna.call(http.MethodPost, path(v3+"/users/%s/report", "nobody"), object{"reason": ""}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	got := admin.call(http.MethodGet, operator+"/reports?limit=3", nil).want(http.StatusOK, "")
	if list, _ := got.json()["reports"].([]any); len(list) != 3 {
		w.t.Errorf("of three reports about %s the operators see %s", id, got.body)
	}
	admin.call(http.MethodGet, operator+"/reports?limit=none", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")

	notice := func(user, body string) answer {
		return admin.call(http.MethodPost, operator+"/notices", object{"user_id": user, "body": body})
	}
	notice("nobody", "x").want(http.StatusBadRequest, "M_INVALID_PARAM")
	room := notice(anna.id, "The seeds are sold out.").want(http.StatusOK, "").text("room_id")
	invites, _ := anna.sync(nil).json()["rooms"].(object)["invite"].(object)
	if invites[room] == nil {
		w.t.Errorf("the room of notices is no invite: %v", invites)
	}
	at = path(v3+"/rooms/%s", room)
	anna.call(http.MethodPost, at+"/leave", object{}).want(http.StatusForbidden, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")
	anna.join(at)
}
