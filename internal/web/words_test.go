package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/deactivation"
	"lethe/internal/wire"
)

func TestEverythingInTheInventoryHasWords(t *testing.T) {
	for _, it := range deactivation.Inventory {
		if it.Category != "" && categories[it.Category] == "" {
			t.Errorf("words.go has nothing for the category %q", it.Category)
		}
		stays := it.Goes == deactivation.Never || it.Goes == deactivation.AtErasure
		if stays && purposes[it.Purpose] == "" {
			t.Errorf("words.go has nothing for the purpose %q of %s", it.Purpose, it.Table)
		}
	}
}

func TestAmountsAreInTheOrderOfTheInventory(t *testing.T) {
	got := amounts(map[string]int64{"profile": 2, "unbound": 1, "devices": 3, "filters": 0, "news": 4})
	want := []amount{
		{categories["devices"], 3}, {categories["profile"], 2}, {"news", 4}, {categories["unbound"], 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("amounts (-want +got):\n%s", diff)
	}
}

func TestDurationsInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1 second", time.Second: "1 second", 90 * time.Second: "90 seconds", time.Minute: "1 minute",
		2*time.Minute + 1: "3 minutes", time.Hour: "1 hour", 36 * time.Hour: "36 hours", 24 * time.Hour: "1 day",
		7 * 24 * time.Hour: "7 days", 49 * time.Hour: "3 days",
	} {
		if got := words(d); got != want {
			t.Errorf("words(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestActorsInWords(t *testing.T) {
	for by, want := range map[deactivation.Actor]string{
		deactivation.Self: "you", deactivation.Operator: "the operator of this server",
		deactivation.Admin("@root:example.org"): "the administrator @root:example.org",
		deactivation.Appservice("bridge"):       "the application service bridge", "someone": "someone",
	} {
		if got := actor(string(by)); got != want {
			t.Errorf("actor(%q) = %q, want %q", by, got, want)
		}
	}
}

func TestAFailureOfTheServerIsToldWithoutItsCause(t *testing.T) {
	a := &API{ServerName: "example.org"}
	rt := wire.NewRouter(wire.Options{})
	rt.Add(wire.Route{Method: http.MethodGet, Path: "/x", Handle: a.page(func(*wire.Request) (any, error) {
		return nil, errors.New("the secret cause")
	})})
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", http.NoBody))
	body := w.Body.String()
	if w.Code != http.StatusInternalServerError || !strings.Contains(body, w.Header().Get("X-Request-Id")) ||
		strings.Contains(body, "secret cause") {
		t.Errorf("answer = %d %v %s", w.Code, w.Header(), body)
	}
}
