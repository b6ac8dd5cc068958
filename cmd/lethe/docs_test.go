package main

import (
	"os"
	"strings"
	"testing"
)

// TestSettingsPage holds the page of settings against the settings.
func TestSettingsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	if list := lethe(t, 0, "config", "list"); !strings.HasSuffix(string(page), "\n"+list) {
		t.Error("docs/settings.md is not what `lethe config list` prints")
	}
}
