package room

// The memberships (CS API, m.room.member).
const (
	join   = "join"
	invite = "invite"
	knock  = "knock"
	leave  = "leave"
	ban    = "ban"
)

// The types of events that rooms are made of.
const (
	typeCreate            = "m.room.create"
	typeMember            = "m.room.member"
	typePowerLevels       = "m.room.power_levels"
	typeJoinRules         = "m.room.join_rules"
	typeHistoryVisibility = "m.room.history_visibility"
	typeGuestAccess       = "m.room.guest_access"
	typeRedaction         = "m.room.redaction"
	typeName              = "m.room.name"
	typeTopic             = "m.room.topic"
	typeThirdPartyInvite  = "m.room.third_party_invite"
)
