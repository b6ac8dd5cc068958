package account

import (
	"slices"
	"strings"

	"lethe/internal/matrix"
)

// RegistrationRules are what an operator asks of who registers.
type RegistrationRules struct {
	Token bool // a registration token
	Email bool // an e-mail address
	Terms []Policy
}

// RegistrationFlows are the ways to register under these rules. Where addresses
// can be validated but are not asked for, they are offered; the dummy stage then
// keeps the other flow from being a part of those (CS API, Dummy Auth).
func (s *Service) RegistrationFlows(rules RegistrationRules) []Flow {
	var stages []string
	if rules.Token {
		stages = append(stages, StageRegistrationToken)
	}
	if len(rules.Terms) > 0 {
		stages = append(stages, StageTerms)
	}
	with := func(stage string) Flow { return Flow{Stages: append(slices.Clone(stages), stage)} }
	if rules.Email {
		return []Flow{with(StageEmail)}
	}
	var flows []Flow
	if s.Sends(matrix.MediumEmail) {
		flows = append(flows, with(StageEmail))
	}
	if s.Sends(matrix.MediumMSISDN) {
		flows = append(flows, with(StageMSISDN))
	}
	if len(flows) > 0 || len(stages) == 0 {
		return append([]Flow{with(StageDummy)}, flows...)
	}
	return []Flow{{Stages: stages}}
}

// Localpart is the localpart that a username which somebody chose stands for:
// upper-case letters become lower-case ones (CS API, POST /register: usernames
// are mapped in a logical manner). Other characters that localparts do not have
// stay, for [Service.CheckLocalpart] to refuse.
func Localpart(username string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c - 'A' + 'a'
		}
		return c
	}, username)
}
