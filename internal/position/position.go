// Package position writes positions of the stream as the tokens that clients get.
//
// Holds: [Sync], [InRoom], [Parse].
//
// May import: matrix.
//
// Never: what is at a position.
package position

import (
	"strconv"

	"lethe/internal/matrix"
)

// Sync is the next_batch of an answer that has everything up to a position.
func Sync(pos int64) string { return "s" + strconv.FormatInt(pos, 10) }

// InRoom is the place between a position and the next in the timeline of a room:
// prev_batch, and what /messages is paged by.
func InRoom(pos int64) string { return "t" + strconv.FormatInt(pos, 10) }

// Parse is the position of a token of either kind: clients send those of /sync
// to /messages, too.
func Parse(token string) (int64, error) {
	if len(token) > 1 && (token[0] == 's' || token[0] == 't') && token[1] != '+' {
		pos, err := strconv.ParseInt(token[1:], 10, 64)
		if err == nil && (pos >= 0 || token[0] == 't') {
			return pos, nil
		}
	}
	return 0, matrix.Errorf(matrix.CodeInvalidParam, "%.100q is no token that this server has given out.", token)
}
