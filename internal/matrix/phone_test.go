package matrix_test

import (
	"testing"

	"lethe/internal/matrix"
)

func TestNumbersBecomeInternationalAsDialledFromTheirCountry(t *testing.T) {
	for _, c := range []struct{ country, number, want string }{
		{"GB", "07700 900001", "447700900001"},
		{"GB", "7700900001", "447700900001"},
		{"GB", "+44 7700 900001", "+44 7700 900001"},
		{"GB", "0049 30 123456", "4930123456"},
		{"GB", "447700900001", "447700900001"},
		{"gb", "07700900001", "447700900001"},
		{"US", "(202) 555-0100", "12025550100"},
		{"US", "1-202-555-0100", "12025550100"},
		{"IT", "06 1234567", "39061234567"},
		{"HU", "06 20 1234567", "36201234567"},
		{"RU", "8 912 345-67-89", "79123456789"},
		{"DE", "030 123456", "4930123456"},
		{"", "447700900001", "447700900001"},
		{"ZZ", "07700900001", "07700900001"},
	} {
		if got := matrix.Dialled(c.country, c.number); got != c.want {
			t.Errorf("Dialled(%q, %q) = %q, want %q", c.country, c.number, got, c.want)
		}
	}
}
