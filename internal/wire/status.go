package wire

import (
	"net/http"

	"lethe/internal/matrix"
)

// StatusOf is the HTTP status that an error is answered with.
func StatusOf(e *matrix.Error) int {
	if e.Status != 0 {
		return e.Status
	}
	if status := errStatus[e.Code]; status != 0 {
		return status
	}
	return http.StatusBadRequest
}
