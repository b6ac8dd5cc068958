package event

// kept is what redaction keeps of an event.
type kept struct {
	top     map[string]bool
	content map[string][]string // by type
	// wholeCreate: all of the content of m.room.create stays.
	wholeCreate bool
	// signed: `signed` of third_party_invite of m.room.member stays.
	signed bool
}

func keptSince(n int) *kept {
	k := &kept{
		top: set("event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures",
			"depth", "prev_events", "auth_events", "origin_server_ts"),
		content: map[string][]string{
			typeMember:            {"membership"},
			typeCreate:            {"creator"},
			typeJoinRules:         {"join_rule"},
			typeHistoryVisibility: {"history_visibility"},
			typePowerLevels: {
				"ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default",
			},
		},
		wholeCreate: n >= 11, signed: n >= 11,
	}
	keep := func(typ, key string) { k.content[typ] = append(k.content[typ], key) }
	if n < 6 {
		keep(typeAliases, "aliases")
	}
	if n >= 8 {
		keep(typeJoinRules, "allow")
	}
	if n >= 9 {
		keep(typeMember, "join_authorised_via_users_server")
	}
	if n >= 11 {
		keep(typePowerLevels, "invite")
		keep(typeRedaction, "redacts")
	} else {
		k.top["prev_state"], k.top["origin"], k.top["membership"] = true, true, true
	}
	return k
}

func set(keys ...string) map[string]bool {
	s := make(map[string]bool, len(keys))
	for _, key := range keys {
		s[key] = true
	}
	return s
}
