//go:build e2e

package e2e

import (
	"net/http"
	"strings"
)

// directory is how rooms are found.
func (w *world) directory() {
	anna, ben := w.register(w.t, "directory-anna"), w.register(w.t, "directory-ben")
	id, at := anna.createRoom(object{"preset": "public_chat", "name": "The orchard", "topic": "Apples"})
	alias := path(v3+"/directory/room/%s", "#orchard:"+w.name)
	anna.call(http.MethodPut, alias, object{"room_id": id}).want(http.StatusOK, "")
	anna.call(http.MethodPut, alias, object{"room_id": id}).want(http.StatusConflict, "M_UNKNOWN")
	anna.call(http.MethodPut, path(v3+"/directory/room/%s", "no alias"), object{"room_id": id}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	if got := w.client.call(http.MethodGet, alias, nil).want(http.StatusOK, "").text("room_id"); got != id {
		w.t.Errorf("the alias is of %s", got)
	}
	w.client.call(http.MethodGet, path(v3+"/directory/room/%s", "#none:"+w.name), nil).want(http.StatusNotFound, "M_NOT_FOUND")
	anna.call(http.MethodGet, at+"/aliases", nil).want(http.StatusOK, "")
	anna.call(http.MethodPut, at+"/state/m.room.history_visibility", object{"history_visibility": "shared"}).want(http.StatusOK, "")
	ben.call(http.MethodGet, at+"/aliases", nil).want(http.StatusForbidden, "M_FORBIDDEN")
	w.published(anna, ben, id)
	w.summaries(anna, ben, id)
	ben.call(http.MethodDelete, alias, nil).want(http.StatusForbidden, "M_FORBIDDEN")
	anna.call(http.MethodDelete, alias, nil).want(http.StatusOK, "")
	anna.call(http.MethodDelete, alias, nil).want(http.StatusNotFound, "M_NOT_FOUND")
}

// published puts a room in the directory.
func (w *world) published(anna, ben *person, id string) {
	list := path(v3+"/directory/list/room/%s", id)
	ben.call(http.MethodPut, list, object{"visibility": "public"}).want(http.StatusForbidden, "M_FORBIDDEN")
	anna.call(http.MethodPut, list, object{"visibility": "public"}).want(http.StatusOK, "")
	anna.call(http.MethodPut, list, object{"visibility": "secret"}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	if got := w.client.call(http.MethodGet, list, nil).want(http.StatusOK, "").text("visibility"); got != "public" {
		w.t.Errorf("the room is %s", got)
	}
	w.client.call(http.MethodGet, path(v3+"/directory/list/room/%s", "!none:"+w.name), nil).want(http.StatusNotFound, "M_NOT_FOUND")
	bridge, network := w.client.with(bridgeToken), path(v3+"/directory/list/appservice/irc/%s", id)
	bridge.call(http.MethodPut, network, object{"visibility": "public"}).want(http.StatusOK, "")
	ben.call(http.MethodPut, network, object{"visibility": "public"}).want(http.StatusForbidden, "M_FORBIDDEN")

	const rooms = v3 + "/publicRooms"
	next := w.client.call(http.MethodGet, rooms+"?limit=1", nil).want(http.StatusOK, "").text("next_batch")
	w.client.call(http.MethodGet, rooms+"?limit=1&since="+next, nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, rooms+"?limit=few", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
	found := ben.call(http.MethodPost, rooms, object{
		"filter": object{"generic_search_term": "orchard", "room_types": []any{nil, "m.space"}}, "limit": 5,
	}).want(http.StatusOK, "")
	if !strings.Contains(string(found.body), "The orchard") {
		w.t.Errorf("the orchard is not found: %s", found.body)
	}
	ben.call(http.MethodPost, rooms, object{"include_all_networks": true}).want(http.StatusOK, "")
	ben.call(http.MethodPost, rooms, object{"limit": -1}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	w.client.call(http.MethodPost, rooms, object{}).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
}

// summaries are what one sees of a room from outside, and spaces.
func (w *world) summaries(anna, ben *person, id string) {
	space, at := anna.createRoom(object{
		"preset": "public_chat", "name": "The farm", "creation_content": object{"type": "m.space"},
	})
	anna.call(http.MethodPut, at+path("/state/m.space.child/%s", id), object{"via": []string{w.name}}).want(http.StatusOK, "")
	tree := path(v1+"/rooms/%s/hierarchy", space)
	page := anna.call(http.MethodGet, tree+"?limit=1", nil).want(http.StatusOK, "")
	anna.call(http.MethodGet, tree+"?limit=1&from="+page.text("next_batch"), nil).want(http.StatusOK, "")
	if got := ben.call(http.MethodGet, tree+"?suggested_only=false&max_depth=2", nil).want(http.StatusOK, ""); !strings.Contains(string(got.body), id) {
		w.t.Errorf("the orchard is not in the farm: %s", got.body)
	}
	anna.call(http.MethodGet, tree+"?from=none", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
	private, _ := anna.createRoom(object{"preset": "private_chat"})
	ben.call(http.MethodGet, path(v1+"/rooms/%s/hierarchy", private), nil).want(http.StatusForbidden, "M_FORBIDDEN")
	const old = "/_matrix/client/unstable/im.nheko.summary"
	for _, summary := range []string{v1 + "/room_summary/%s", old + "/rooms/%s/summary", old + "/summary/%s"} {
		ben.call(http.MethodGet, path(summary, id), nil).want(http.StatusOK, "").text("room_id")
		w.client.call(http.MethodGet, path(summary, "#orchard:"+w.name), nil).want(http.StatusOK, "")
		ben.call(http.MethodGet, path(summary, private), nil).want(http.StatusNotFound, "M_NOT_FOUND")
	}
}
