package event

import (
	"fmt"
	"maps"
	"slices"
)

// powerLevels are the rules for m.room.power_levels, whose sender has the level
// sender.
func (a *authorizer) powerLevels(sender int64) error {
	e, after := a.e, a.e.read().levels
	if e.version.StrictPowerLevels {
		if after.badSingle != "" {
			return a.refuse(levelsSingle, "%s", after.badSingle)
		}
		if after.badEvents != "" {
			return a.refuse(levelsMaps, "events: %s", after.badEvents)
		}
		if after.badNotifications != "" {
			return a.refuse(levelsMaps, "notifications: %s", after.badNotifications)
		}
	}
	if after.badUsers != "" {
		return a.refuse(levelsUsers, "users: %s", after.badUsers)
	}
	if after.outOfRange != "" {
		return a.refuse(levelsUsers, "the level of %q is out of range", after.outOfRange)
	}
	if e.version.PrivilegedCreators {
		for _, id := range a.create.read().create.creators {
			if _, ok := after.users[string(id)]; ok {
				return a.refuse(levelsCreators, "%s is a creator, whose level cannot be set", id)
			}
		}
	}
	previous := a.state(Key{Type: typePowerLevels})
	if previous == nil {
		return nil
	}
	return a.levelChanges(sender, previous.read().levels, after)
}

// levelChanges are the rules about what may be changed. A property that is added
// has no current value, and one that is removed no new one.
func (a *authorizer) levelChanges(sender int64, before, after *levels) error {
	if !a.e.version.StrictPowerLevels {
		if err := a.noGarbage(after); err != nil {
			return err
		}
	}
	for i, name := range levelNames {
		if before.given[i] == after.given[i] && before.single[i] == after.single[i] {
			continue
		}
		if before.given[i] && before.single[i] > sender {
			return a.refuse(singleCurrent, "%s is %d, more than the level %d of the sender", name, before.single[i], sender)
		}
		if after.given[i] && after.single[i] > sender {
			return a.refuse(singleNew, "%s would be %d, more than the level %d of the sender", name, after.single[i], sender)
		}
	}
	objects := [][2]map[string]int64{{before.events, after.events}}
	if a.e.version.NotificationLevels {
		objects = append(objects, [2]map[string]int64{before.notifications, after.notifications})
	}
	for _, m := range objects {
		if entry := above(m[0], m[1], sender, ""); entry != "" {
			return a.refuse(entryCurrent, "%s is more than the level %d of the sender", entry, sender)
		}
	}
	for _, m := range objects {
		if entry := above(m[1], m[0], sender, ""); entry != "" {
			return a.refuse(entryNew, "%s would be more than the level %d of the sender", entry, sender)
		}
	}
	if entry := above(before.users, after.users, sender-1, a.e.sender); entry != "" {
		return a.refuse(userCurrent, "%s is not less than the level %d of the sender", entry, sender)
	}
	if entry := above(after.users, before.users, sender, ""); entry != "" {
		return a.refuse(userNew, "%s would be more than the level %d of the sender", entry, sender)
	}
	return nil
}

// noGarbage refuses what cannot be compared. Before rooms/v10 no rule names it,
// where something else than a user's level is not a number.
func (a *authorizer) noGarbage(after *levels) error {
	switch {
	case after.badSingle != "":
		return a.refuse(singleNew, "%s", after.badSingle)
	case after.badEvents != "":
		return a.refuse(entryNew, "events: %s", after.badEvents)
	case after.badNotifications != "" && a.e.version.NotificationLevels:
		return a.refuse(entryNew, "notifications: %s", after.badNotifications)
	}
	return nil
}

// above names the first entry of a that is more than limit and is not the same in
// b, other than one; it is "" if there is none.
func above(a, b map[string]int64, limit int64, other string) string {
	first := ""
	for key, n := range a {
		if m, ok := b[key]; (!ok || m != n) && n > limit && key != other && (first == "" || key < first) {
			first = key
		}
	}
	if first == "" {
		return ""
	}
	return fmt.Sprintf("the level %d of %q", a[first], first)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
