package event_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lethe/internal/event"
)

// mustVersion is the room version of that name.
func mustVersion(t testing.TB, id string) *event.Version {
	t.Helper()
	v, ok := event.VersionOf(id)
	if !ok {
		t.Fatalf("there is no room version %q", id)
	}
	return v
}

// eachVersion runs a test for the room versions from the first to the last named.
func eachVersion(t *testing.T, first, last string, test func(t *testing.T, v *event.Version)) {
	t.Helper()
	all := event.Versions()
	for _, id := range all[slices.Index(all, first) : slices.Index(all, last)+1] {
		t.Run("v"+id, func(t *testing.T) { test(t, mustVersion(t, id)) })
	}
}

func TestEachVersionIsWhatItsPageSays(t *testing.T) {
	want := []event.Version{
		{ID: "1", EventIDs: event.IDsGiven, StateRes: 1, RedactionRule: true, AliasesRule: true},
		{ID: "2", EventIDs: event.IDsGiven, StateRes: 2, RedactionRule: true, AliasesRule: true},
		{ID: "3", EventIDs: event.IDsBase64, StateRes: 2, AliasesRule: true},
		{ID: "4", EventIDs: event.IDsURLSafe, StateRes: 2, AliasesRule: true},
		{ID: "5", EventIDs: event.IDsURLSafe, StateRes: 2, AliasesRule: true},
		{ID: "6", StrictCanonicalJSON: true, NotificationLevels: true},
	}
	v := want[5]
	v.EventIDs, v.StateRes = event.IDsURLSafe, 2
	want[5] = v
	next := func(id string, change func(*event.Version)) {
		v.ID = id
		change(&v)
		want = append(want, v)
	}
	next("7", func(v *event.Version) { v.KnockJoin = true })
	next("8", func(v *event.Version) { v.Restricted = true })
	next("9", func(*event.Version) {})
	next("10", func(v *event.Version) { v.KnockRestricted, v.StrictPowerLevels = true, true })
	next("11", func(v *event.Version) { v.UpdatedRedaction, v.SenderIsCreator = true, true })
	next("12", func(v *event.Version) { v.RoomIDFromCreate, v.PrivilegedCreators, v.StateRes = true, true, 21 })
	for i := range want {
		want[i].MaxDepth = math.MaxInt64
		if want[i].StrictCanonicalJSON {
			want[i].MaxDepth = 1<<53 - 1
		}
	}
	var got []event.Version
	for _, id := range event.Versions() {
		got = append(got, *mustVersion(t, id))
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(event.Version{})); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if _, ok := event.VersionOf(event.DefaultVersion); !ok {
		t.Error("there is no default version")
	}
	for _, id := range []string{"", "0", "13", "01", "org.matrix.msc2176", " 1", strings.Repeat("1", 40)} {
		if _, ok := event.VersionOf(id); ok {
			t.Errorf("there is a version %q", id)
		}
	}
}
