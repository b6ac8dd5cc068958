package client_test

import (
	"os"
	"testing"

	"lethe/internal/hstest"
)

// homeserver is the base URL of the server that the examples speak to.
var homeserver string

func TestMain(m *testing.M) {
	s, stop := hstest.ForExamples()
	homeserver = s.URL
	code := m.Run()
	stop()
	os.Exit(code)
}
