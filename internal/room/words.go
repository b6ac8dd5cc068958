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
	typeCanonicalAlias    = "m.room.canonical_alias"
	typeAvatar            = "m.room.avatar"
	typeEncryption        = "m.room.encryption"
	typeServerACL         = "m.room.server_acl"
	typeTombstone         = "m.room.tombstone"
	typeSpaceChild        = "m.space.child"
)

// The join rules (CS API, m.room.join_rules) that more than the auth rules ask for.
const (
	rulePublic          = "public"
	ruleInvite          = "invite"
	ruleKnock           = "knock"
	ruleRestricted      = "restricted"
	ruleKnockRestricted = "knock_restricted"
)

// worldReadable is the history visibility of rooms that everybody may read.
const worldReadable = "world_readable"

// roomTypeSpace is the type of rooms that are spaces (CS API, Types).
const roomTypeSpace = "m.space"
