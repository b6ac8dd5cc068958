//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"
)

// The account life cycle with clients that people use, each from registration to
// the end.

func TestMatrixJSSDK(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		npm := filepath.Join(cache, "npm")
		w.script(nil, filepath.Join(npm, "node_modules/.bin/node"), "clients/sdk_life.mjs", npm, w.client.base, "sdk")
	}, "--registration", "open", "--rate-limits", "off")
}

func TestMatrixNio(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.script([]string{"PYTHONDONTWRITEBYTECODE=1"}, filepath.Join(cache, "python/bin/python"),
			"clients/nio_life.py", w.client.base, "nio")
	}, "--registration", "open", "--rate-limits", "off")
}

// What people do in rooms, with the same clients, up to the end of one of them and
// what a newcomer reads then.

func TestRoomsWithMatrixJSSDK(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		npm := filepath.Join(cache, "npm")
		w.script(nil, filepath.Join(npm, "node_modules/.bin/node"), "clients/sdk_rooms.mjs", npm, w.client.base, "sdk")
	}, "--registration", "open", "--rate-limits", "off")
}

func TestRoomsWithMatrixNio(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.script([]string{"PYTHONDONTWRITEBYTECODE=1"}, filepath.Join(cache, "python/bin/python"),
			"clients/nio_rooms.py", w.client.base, "nio")
	}, "--registration", "open", "--rate-limits", "off")
}

func TestRoomsWithMautrixGo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.script(nil, filepath.Join(cache, "mautrix"), w.client.base, "mautrix")
	}, "--registration", "open", "--rate-limits", "off")
}
