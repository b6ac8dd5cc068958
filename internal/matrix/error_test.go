package matrix_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"lethe/internal/matrix"
)

func TestErrorKeepsItsCauseForTheLog(t *testing.T) {
	plain := matrix.Errorf(matrix.CodeForbidden, "No %s.", "entry")
	caused := plain.Because(io.ErrUnexpectedEOF).WithStatus(418)
	if plain.Status != 0 || errors.Is(plain, io.ErrUnexpectedEOF) {
		t.Error("Because and WithStatus must not change what they are called on")
	}
	if caused.Message != "No entry." || strings.Contains(caused.Message, "EOF") || caused.Status != 418 {
		t.Errorf("the requester is told %+v", caused)
	}
	if !errors.Is(caused, io.ErrUnexpectedEOF) || !strings.Contains(caused.Error(), "EOF") {
		t.Errorf("the log has %q, without the cause", caused)
	}
	if got := plain.Error(); got != "M_FORBIDDEN: No entry." {
		t.Errorf("Error() = %q", got)
	}
}

func TestCodeOfFindsTheErrorInTheChain(t *testing.T) {
	err := matrix.Errorf(matrix.CodeNotFound, "Nothing.")
	for _, tc := range []struct {
		err  error
		want matrix.Code
	}{{nil, ""}, {io.EOF, ""}, {err, "M_NOT_FOUND"}, {fmt.Errorf("outer: %w", err), "M_NOT_FOUND"}} {
		if got := matrix.CodeOf(tc.err); got != tc.want {
			t.Errorf("CodeOf(%v) = %q, want %q", tc.err, got, tc.want)
		}
	}
}
