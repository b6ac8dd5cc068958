package event

import (
	"slices"
	"strconv"
)

// rule is one of the auth rules that can refuse an event.
type rule uint8

// The rules, in the order of the specification's pages.
const (
	heading rule = iota // refuses nothing itself
	createPrev
	createRoom
	createVersion
	createCreator
	createAdditional
	roomCreate
	authDuplicate
	authSelection
	authRejected
	authNoCreate
	authRoom
	federate
	aliasesKey
	aliasesDomain
	memberFields
	memberAuthorised
	joinSender
	joinBanned
	joinAuthoriser
	joinOther
	thirdBanned
	thirdUnsigned
	thirdFields
	thirdUser
	thirdUnknown
	thirdSender
	thirdSignature
	inviteSender
	inviteTarget
	inviteOther
	leaveSelf
	leaveSender
	leaveBanned
	leaveOther
	banSender
	banOther
	knockRule
	knockSender
	knockOther
	memberUnknown
	senderJoined
	thirdPartyLevel
	eventLevel
	ownStateKey
	levelsSingle
	levelsMaps
	levelsUsers
	levelsCreators
	singleCurrent
	singleNew
	entryCurrent
	entryNew
	userCurrent
	userNew
	redactionOther
	ruleCount
)

// section is a numbered point of the rules.
type section struct {
	rule rule
	in   func(*Version) bool // nil: in all versions
	sub  []section
}

func point(r rule, sub ...section) section { return section{rule: r, sub: sub} }

// only restricts a point to some versions: the points behind it move up.
func (s section) only(in func(*Version) bool) section {
	s.in = in
	return s
}

// outline is the list of the rules as the pages of the room versions have it. A
// heading is there for its number, and for rules that allow.
var outline = []section{
	point(heading, point(createPrev), point(createRoom), point(createVersion),
		point(createCreator).only(func(v *Version) bool { return !v.SenderIsCreator }),
		point(createAdditional).only(func(v *Version) bool { return v.PrivilegedCreators })),
	point(roomCreate).only(func(v *Version) bool { return v.RoomIDFromCreate }),
	point(heading, point(authDuplicate), point(authSelection), point(authRejected),
		point(authNoCreate).only(func(v *Version) bool { return !v.RoomIDFromCreate }), point(authRoom)),
	point(federate),
	point(heading, point(aliasesKey), point(aliasesDomain)).only(func(v *Version) bool { return v.AliasesRule }),
	memberOutline,
	point(senderJoined),
	point(heading, point(thirdPartyLevel)),
	point(eventLevel),
	point(ownStateKey),
	levelsOutline,
	// The first two allow.
	point(heading, point(heading), point(heading), point(redactionOther)).
		only(func(v *Version) bool { return v.RedactionRule }),
}

var memberOutline = point(heading, point(memberFields),
	point(heading, point(memberAuthorised)).only(restricted),
	point(heading, // join
		point(heading), point(joinSender), point(joinBanned), point(heading),
		point(heading, point(heading), point(joinAuthoriser)).only(restricted),
		point(heading), point(joinOther)),
	point(heading, // invite
		point(heading, point(thirdBanned), point(thirdUnsigned), point(thirdFields), point(thirdUser),
			point(thirdUnknown), point(thirdSender), point(heading), point(thirdSignature)),
		point(inviteSender), point(inviteTarget), point(heading), point(inviteOther)),
	point(heading, point(leaveSelf), point(leaveSender), point(leaveBanned), point(heading), point(leaveOther)),
	point(heading, point(banSender), point(heading), point(banOther)),
	point(heading, point(knockRule), point(knockSender), point(heading), point(knockOther)).
		only(func(v *Version) bool { return v.KnockJoin }),
	point(memberUnknown))

var levelsOutline = point(heading,
	point(levelsSingle).only(strictLevels), point(levelsMaps).only(strictLevels), point(levelsUsers),
	point(levelsCreators).only(func(v *Version) bool { return v.PrivilegedCreators }),
	point(heading), // no levels before
	point(heading, point(singleCurrent), point(singleNew)),
	point(heading, point(entryCurrent)), point(heading, point(entryNew)),
	point(heading, point(userCurrent)), point(heading, point(userNew)))

func restricted(v *Version) bool   { return v.Restricted }
func strictLevels(v *Version) bool { return v.StrictPowerLevels }

// numbers are those of the rules of each version.
var numbers = func() map[string]*[ruleCount]string {
	all := map[string]*[ruleCount]string{}
	for _, v := range versions {
		all[v.ID] = &[ruleCount]string{}
		number(v, all[v.ID], "", outline)
	}
	return all
}()

func number(v *Version, into *[ruleCount]string, prefix string, sections []section) {
	in := slices.DeleteFunc(slices.Clone(sections), func(s section) bool { return s.in != nil && !s.in(v) })
	for i, s := range in {
		n := prefix + strconv.Itoa(i+1)
		if s.rule != heading {
			into[s.rule] = n
		}
		number(v, into, n+".", s.sub)
	}
}
