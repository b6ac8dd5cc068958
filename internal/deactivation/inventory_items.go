package deactivation

// The reasons that several lines of the inventory share.
const (
	secretHash = "a hash of a secret says nothing that its owner does not know"
	keptName   = "a user id is never given out again, and the end of the account has to be known to refuse it"
	keptProof  = "the operator has to be able to show that, when and by whom an account was ended"
	theRooms   = "a room's history is the room's: others refer to it"
	technical  = "it is about the server's own work"
	withEvent  = "with the content of the event: when it is redacted, or its sender is erased and nobody is left who may read it"
	fromSearch = "at once when its sender is erased, and else with the content of the event"
	inEvents   = "it is made of events, which have it"
)

// Inventory is everything this server stores, by table.
var Inventory = []Item{
	{
		Table:   "accounts",
		Columns: []string{"user_id", "kind", "appservice_id", "created_at", "deactivated_at", "erased_pos"},
		Owner:   "user_id", Purpose: "the account exists, or has ended",
		Goes: Never, Why: keptName, Export: "account.json",
	},
	{
		Table: "accounts", Columns: []string{"is_admin", "locked_at", "suspended_at"},
		Owner: "user_id", Purpose: "what the account may do",
		Goes: Never, Why: keptProof, Export: "account.json",
	},
	{
		Table: "accounts", Columns: []string{"password_hash"},
		Owner: "user_id", Purpose: "login",
		Goes: AtEnding, Category: passwordCategory, NotExported: secretHash,
	},
	{
		Table:   "devices",
		Columns: []string{"user_id", "device_id", "display_name", "created_at", "last_seen_at", "last_seen_ip"},
		Owner:   "user_id", Purpose: "sessions, and encryption between devices",
		Goes: AtEnding, Category: "devices", Export: "devices.json",
	},
	{
		Table:   "access_tokens",
		Columns: []string{"token_hash", "user_id", "device_id", "created_at", "expires_at", "retires"},
		Owner:   "user_id", Purpose: "sessions",
		Goes: AtEnding, Category: "access tokens", NotExported: secretHash,
	},
	{
		Table: "refresh_tokens",
		Columns: []string{
			"token_hash", "user_id", "device_id", "created_at", "expires_at", "access_hash", "successor_hash",
		},
		Owner: "user_id", Purpose: "sessions",
		Goes: AtEnding, Category: "refresh tokens", NotExported: secretHash,
	},
	{
		Table: "login_tokens", Columns: []string{"token_hash", "user_id", "expires_at"},
		Owner: "user_id", Purpose: "login of a further client",
		Goes: AtEnding, Why: "or after minutes", Category: "login tokens", NotExported: secretHash,
	},
	{
		Table: "openid_tokens", Columns: []string{"token_hash", "user_id", "expires_at"},
		Owner: "user_id", Purpose: "proof of identity to third parties",
		Goes: AtEnding, Why: "or after an hour", Category: "OpenID tokens", NotExported: secretHash,
	},
	{
		Table: "uia_sessions",
		Columns: []string{
			"session_hash", "endpoint", "user_id", "device_id", "subject", "completed", "stored", "offer",
			"registration_token", "created_at", "expires_at",
		},
		Owner: "user_id", Purpose: "authentication under way",
		Goes: AtEnding, Why: "or after an hour", Category: "authentication sessions", NotExported: "it lasts for minutes",
	},
	{
		Table: "validation_sessions",
		Columns: []string{
			"sid", "purpose", "user_id", "medium", "address", "client_secret", "send_attempt", "token_hash", "tries",
			"next_link", "validated_at", "created_at", "expires_at",
		},
		Owner: "user_id", Purpose: "validation of an address under way",
		Goes: AtEnding, Why: "or after a day", Category: "validation sessions",
		NotExported: "it lasts for a day at most, and then the address is in threepids.json or was not theirs",
	},
	{
		Table: "threepids", Columns: []string{"medium", "address", "user_id", "validated_at", "added_at"},
		Owner: "user_id", Purpose: "login, new passwords, notices",
		Goes: AtEnding, Category: "addresses", Export: "threepids.json",
	},
	{
		Table:   "threepid_bindings",
		Columns: []string{"user_id", "medium", "address", "id_server", "bound_at", "settled_at"},
		Owner:   "user_id", Purpose: "to unbind addresses at identity servers",
		Goes: AtEnding, Why: "and until it is unbound from the job that does it",
		Category: "bindings", Export: "threepids.json",
	},
	{
		Table: "connections", Columns: []string{"user_id", "device_id", "ip", "user_agent", "last_seen_at"},
		Owner: "user_id", Purpose: "to find abuse of an account",
		Goes: AtEnding, Why: "or after the time that the setting address-log has",
		Category: "addresses in the log", Export: "connections.json",
	},
	{
		Table: "account_data", Columns: []string{"user_id", "room_id", "type", "content", "pos"},
		Owner: "user_id", Purpose: "settings of clients",
		Goes: AtEnding, Category: "account data", Export: "account_data.json",
	},
	{
		Table: "filters", Columns: []string{"user_id", "filter_id", "content"},
		Owner: "user_id", Purpose: "settings of clients",
		Goes: AtEnding, Category: "filters", Export: "filters.json",
	},
	{
		Table:   "receipts",
		Columns: []string{"room_id", "user_id", "type", "thread_id", "event_id", "event_pos", "ts", "pos"},
		Owner:   "user_id", Purpose: "up to where somebody has read a room",
		Goes: AtEnding, Category: "receipts", Export: "receipts.json",
	},
	{
		Table: "typing", Columns: []string{"room_id", "user_id", "expires_at", "pos"},
		Owner: "user_id", Purpose: "who is typing where, or has been",
		Goes: AtEnding, Category: "typing", NotExported: "it is of the moment",
	},
	{
		Table: "presence", Columns: []string{"user_id", "state", "status_msg", "active_at", "pos"},
		Owner: "user_id", Purpose: "whether somebody is there, and what they say of it",
		Goes: AtEnding, Category: "presence", Export: "presence.json",
	},
	{
		Table: "reports", Columns: []string{"id", "created_at", "reporter", "room_id", "event_id", "user_id", "reason"},
		Owner: "reporter", Purpose: "what somebody has reported to the operators",
		Goes: AtErasure, Category: "reports", Export: "reports.json",
	},
	{
		Table: "notice_rooms", Columns: []string{"user_id", "room_id"},
		Owner: "user_id", Purpose: "in which room somebody gets notices of the server",
		Goes: AtEnding, Category: "rooms for notices", NotExported: "the room has the notices",
	},
	{
		Table: "profile_changes", Columns: []string{"user_id", "seq", "room_id"},
		Owner: "user_id", Purpose: "to take changed names into rooms",
		Goes: AtEnding, Why: "or when it is done", Category: "changes of the profile", NotExported: "profile.json has the profile",
	},
	{
		Table: "alias_creators", Columns: []string{"alias", "user_id"},
		Owner: "user_id", Purpose: "who may delete an alias, for having made it",
		Goes: AtEnding, Category: "aliases made", Export: "aliases.json",
	},
	{
		Table: "events", Columns: []string{"json"},
		Owner: "sender", Purpose: "messages, and names and pictures in rooms",
		Goes: AtErasure, Why: "for those who could not read it before at once, from the disk when nobody is left in the room " +
			"who could; what is the room's state or the protocol needs stays",
		Category: "messages", Export: "events.jsonl",
	},
	{
		Table: "events",
		Columns: []string{
			"room_id", "pos", "event_id", "kind", "sender", "type", "state_key", "ts", "state", "redacted_by", "erased",
		},
		Owner: "sender", Purpose: "that there was an event, by whom and when",
		Goes: Never, Why: theRooms, Export: "events.jsonl",
	},
	{
		Table: "memberships",
		Columns: []string{
			"room_id", "user_id", "membership", "pos", "event_id", "sender", "forgotten", "stripped",
		},
		Owner: "user_id", Purpose: "who is in which room, or was",
		Goes: Never, Why: "that somebody has left is the room's to know", Export: "rooms.json",
	},
	{
		Table: "membership_changes", Columns: []string{"room_id", "user_id", "pos", "membership"},
		Owner: "user_id", Purpose: "who was in which room when",
		Goes: Never, Why: theRooms, NotExported: inEvents,
	},
	{
		Table:   "transactions",
		Columns: []string{"user_id", "device_id", "scope", "txn_id", "event_id", "created_at"},
		Owner:   "user_id", Purpose: "to do what a client asks twice once",
		Goes: AtEnding, Category: "transaction ids", NotExported: "the events that they have made are in events.jsonl",
	},
	{
		Table: "erasures_pending", Columns: []string{"room_id", "user_id", "erased_pos", "looks", "kept"},
		Owner: "user_id", Purpose: "in which rooms messages of an erased account are kept",
		Goes: WithTime, Why: "when nobody is left there who may read them", NotExported: technical,
	},
	{
		Table: "event_ids", Columns: []string{"event_id", "room_id", "pos"},
		Purpose: "to find events", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "rooms",
		Columns: []string{
			"room_id", "version", "created_at", "state", "extremities", "depth", "last_pos", "joined", "invited",
		},
		Purpose: "rooms", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "changes", Columns: []string{"bucket", "pos", "kind", "room_id", "user_id"},
		Owner: "user_id", Purpose: "what has just happened, for the other processes of the server",
		Goes: WithTime, Why: "when all of them have read it, after seconds", NotExported: technical,
	},
	{
		Table: "profile_fields", Columns: []string{"user_id", "name", "value"},
		Owner: "user_id", Purpose: "what others see of a person",
		Goes: AtErasure, Category: "profile", Export: "profile.json",
	},
	{
		Table: "terms_accepted", Columns: []string{"user_id", "policy", "version", "accepted_at"},
		Owner: "user_id", Purpose: "proof of consent",
		Goes: AtErasure, Category: "accepted terms", Export: "terms.json",
	},
	{
		Table: "deactivations",
		Columns: []string{
			"id", "user_id", "erase", "id_server", "requested_by", "state", "created_at", "grace_until",
			"finished_at", "receipt",
		},
		Owner: "user_id", Purpose: "the ending, and its proof",
		Goes: Never, Why: keptProof, Export: "deactivations.json",
	},
	{
		Table: "deactivations", Columns: []string{"undo_hash", "kept_password"},
		Owner: "user_id", Purpose: "to take an ending back",
		Goes: WithTime, Why: "at the end of the grace period", NotExported: secretHash,
	},
	{
		Table: "audit_log", Columns: []string{"id", "at", "actor", "action", "target", "detail"},
		Owner: "target", Purpose: "who did what to an account",
		Goes: Never, Why: keptProof, Export: "audit.json",
	},
	{
		Table: "jobs", Columns: []string{"payload"},
		Purpose: "an address that is to be unbound or written to",
		Goes:    WithTime, Why: "when the job is done", NotExported: "before the end the address is in threepids.json",
	},
	{
		Table: "jobs",
		Columns: []string{
			"id", "kind", "subject", "unique_key", "state", "attempts", "last_error", "run_at", "lease_owner",
			"lease_until", "created_at", "done_at",
		},
		Purpose: "durable work", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "deactivation_counts", Columns: []string{"deactivation_id", "category", "gone"},
		Purpose: "figures of the receipt",
		Goes:    Never, Why: keptProof, NotExported: "the receipt in deactivations.json has them",
	},
	{
		Table: "state_nodes", Columns: []string{"room_id", "id", "body"},
		Purpose: "the state of rooms, as event ids; a person's id is in it where it is a state key",
		Goes:    Never, Why: "a room's state is the room's: without it nobody could go on in it",
		NotExported: "it says of a person which rooms they were in, by the ids of events",
	},
	{
		Table: "relations",
		Columns: []string{
			"room_id", "parent_id", "rel_type", "pos", "event_id", "sender", "type", "ts", "state", "rel_key",
		},
		Owner: "sender", Purpose: "what messages answer, edit or react to, and with what",
		Goes: WithTime, Why: withEvent, NotExported: inEvents,
	},
	{
		Table: "threads", Columns: []string{"room_id", "root_id", "last_pos"},
		Purpose: "which events have threads", Goes: NotAtAll, NotExported: inEvents,
	},
	{
		Table: "searchable", Columns: []string{"pos", "room_id", "sender"},
		Owner: "sender", Purpose: "which messages can be searched",
		Goes: WithTime, Why: fromSearch, NotExported: inEvents,
	},
	{
		Table: "search_words", Columns: []string{"pos", "words"},
		Purpose: "the words of messages", Goes: WithTime, Why: fromSearch, NotExported: inEvents,
	},
	{
		Table: "aliases", Columns: []string{"alias", "room_id", "created_at"},
		Purpose: "the names by which rooms are found", Goes: NotAtAll,
		NotExported: "those that somebody has made are in aliases.json",
	},
	{
		Table: "public_rooms", Columns: []string{"room_id", "room_type", "text", "summary"},
		Purpose: "the directory, made of the current state of rooms, which is theirs", Goes: NotAtAll, NotExported: inEvents,
	},
	{
		Table: "public_lists", Columns: []string{"room_id", "network"},
		Purpose: "which rooms are in the directory", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "redactions_waiting", Columns: []string{"room_id", "target_id", "redaction_id"},
		Purpose: "redactions of events that have not come yet", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "registration_tokens", Columns: []string{"token", "uses_allowed", "completed", "expires_at", "created_at"},
		Purpose: "registration", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "server", Columns: []string{"id", "server_name", "created_at"},
		Purpose: "the server", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "server_keys", Columns: []string{"key_id", "seed", "created_at"},
		Purpose: "the server", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "nodes", Columns: []string{"id", "started_at", "alive_until", "shared"},
		Purpose: "which processes have the database", Goes: NotAtAll, NotExported: technical,
	},
	{
		Table: "stream", Columns: []string{"id", "pos"},
		Purpose: "positions", Goes: NotAtAll, NotExported: technical,
	},
}
