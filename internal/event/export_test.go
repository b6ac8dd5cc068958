package event

import "slices"

// RuleNumbers are those of the rules that can refuse an event in a version.
func RuleNumbers(v *Version) []string {
	of := numbers[v.ID]
	return slices.DeleteFunc(slices.Clone(of[:]), func(n string) bool { return n == "" })
}
