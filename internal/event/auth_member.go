package event

import "lethe/internal/matrix"

// member are the rules for m.room.member.
func (a *authorizer) member() error {
	e := a.e
	f := e.read()
	if !e.isState || !f.has {
		return a.refuse(memberFields, "m.room.member needs a state key and a membership")
	}
	if via, ok := AuthorisedVia(e); ok {
		// Whether that user's server signed is for the caller to check; nobody can
		// have signed for what is no user.
		if _, err := matrix.ParseUserID(string(via)); err != nil {
			return a.refuse(memberAuthorised, "join_authorised_via_users_server is not a user id")
		}
	}
	switch f.word {
	case "join":
		return a.join()
	case "invite":
		return a.invite()
	case "leave":
		return a.leave()
	case "ban":
		return a.ban()
	case "knock":
		if e.version.KnockJoin {
			return a.knock()
		}
	}
	return a.refuse(memberUnknown, "the membership %q is not known", f.word)
}

func (a *authorizer) join() error {
	e := a.e
	if prev := e.PrevEvents(); len(prev) == 1 && prev[0] == a.create.id &&
		a.create.read().create.creators[0] == matrix.UserID(e.stateKey) {
		return nil // the creator's first join
	}
	if e.sender != e.stateKey {
		return a.refuse(joinSender, "%s makes %s join", e.sender, e.stateKey)
	}
	before := a.membership(e.sender)
	if before == "ban" {
		return a.refuse(joinBanned, "%s is banned", e.sender)
	}
	invited := before == "invite" || before == "join"
	switch r := a.joinRule(); r {
	case "public":
		return nil
	case "invite", "knock":
		if invited {
			return nil
		}
		return a.refuse(joinOther, "%s is not invited (%s), and the join rule is %s", e.sender, orNone(before), r)
	case "restricted", "knock_restricted":
		if invited {
			return nil
		}
		if via, _ := AuthorisedVia(e); !a.canInvite(via) {
			return a.refuse(joinAuthoriser, "%s is not invited, and nobody who can invite is named as having let them in", e.sender)
		}
		return nil
	}
	return a.refuse(joinOther, "the join rule lets nobody join")
}

// joinRule is the room's join rule, or "" for one that its version does not have.
func (a *authorizer) joinRule() string {
	v, r := a.e.version, JoinRule(a.state(Key{Type: typeJoinRules}))
	switch {
	case r == "knock" && !v.KnockJoin, r == "restricted" && !v.Restricted,
		r == "knock_restricted" && !v.KnockRestricted:
		return ""
	}
	return r
}

func (a *authorizer) invite() error {
	e := a.e
	if invite := find(e.content, "third_party_invite"); invite != nil {
		return a.thirdPartyInvite(invite)
	}
	if m := a.membership(e.sender); m != "join" {
		return a.refuse(inviteSender, "%s is not in the room (%s)", e.sender, orNone(m))
	}
	if m := a.membership(e.stateKey); m == "join" || m == "ban" {
		return a.refuse(inviteTarget, "the membership of %s is %s", e.stateKey, m)
	}
	levels := a.levels()
	if n := levels.User(e.Sender()); n < levels.Invite() {
		return a.refuse(inviteOther, "%s has the power level %d, and inviting needs %d", e.sender, n, levels.Invite())
	}
	return nil
}

func (a *authorizer) leave() error {
	e := a.e
	sender := a.membership(e.sender)
	if e.sender == e.stateKey {
		if sender == "invite" || sender == "join" || sender == "knock" && e.version.KnockJoin {
			return nil
		}
		return a.refuse(leaveSelf, "%s is not in the room (%s)", e.sender, orNone(sender))
	}
	if sender != "join" {
		return a.refuse(leaveSender, "%s is not in the room (%s)", e.sender, orNone(sender))
	}
	levels := a.levels()
	n := levels.User(e.Sender())
	if n < levels.Ban() && a.membership(e.stateKey) == "ban" {
		return a.refuse(leaveBanned, "%s has the power level %d, and lifting a ban needs %d", e.sender, n, levels.Ban())
	}
	return a.above(leaveOther, n, levels.Kick(), levels, "removing")
}

// above checks that the sender's level n is what the act needs, and more than
// that of the user it is done to.
func (a *authorizer) above(r rule, n, needed int64, levels PowerLevels, act string) error {
	if n < needed {
		return a.refuse(r, "%s has the power level %d, and %s needs %d", a.e.sender, n, act, needed)
	}
	if levels.User(matrix.UserID(a.e.stateKey)) >= n {
		return a.refuse(r, "%s has the power level %d, which is not more than that of %s", a.e.sender, n, a.e.stateKey)
	}
	return nil
}

func (a *authorizer) ban() error {
	e := a.e
	if m := a.membership(e.sender); m != "join" {
		return a.refuse(banSender, "%s is not in the room (%s)", e.sender, orNone(m))
	}
	levels := a.levels()
	return a.above(banOther, levels.User(e.Sender()), levels.Ban(), levels, "banning")
}

func (a *authorizer) knock() error {
	e := a.e
	if r := a.joinRule(); r != "knock" && r != "knock_restricted" {
		return a.refuse(knockRule, "the join rule does not let anybody knock")
	}
	if e.sender != e.stateKey {
		return a.refuse(knockSender, "%s knocks for %s", e.sender, e.stateKey)
	}
	if m := a.membership(e.sender); m == "ban" || m == "invite" || m == "join" {
		return a.refuse(knockOther, "the membership of %s is %s", e.sender, m)
	}
	return nil
}
