package test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
)

const sample = "../packaging/lethe.yaml"

// commented is a setting, or an item of a list, that the sample shows as a
// comment: prose has a space behind the sign.
var commented = regexp.MustCompile(`(?m)^#(  - |[a-z0-9-]+:)`)

func TestTheSampleConfigurationIsFineAsItIs(t *testing.T) {
	settings, file := readSettings(t, sample)
	if problems := settings.Check(file); len(problems) > 0 {
		t.Errorf("problems of the sample: %v", problems)
	}
}

func TestTheSampleConfigurationShowsEverySettingWithItsDefault(t *testing.T) {
	raw, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	all := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(all, commented.ReplaceAll(raw, []byte("$1")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, file := readSettings(t, all)
	set, _ := readFile(t, sample)
	for field := range reflect.TypeFor[config.Settings]().Fields() {
		name, byDefault := field.Tag.Get("name"), field.Tag.Get("default")
		switch shown := file.Values(name); {
		case shown == nil:
			t.Errorf("the sample does not show %s", name)
		case set.Line(name) == 0 && byDefault != "":
			if diff := cmp.Diff([]string{byDefault}, shown); diff != "" {
				t.Errorf("the default of %s, and what the sample shows (-want +got):\n%s", name, diff)
			}
		}
	}
}

// readSettings reads a file of settings as the server does.
func readSettings(t *testing.T, path string) (config.Settings, *config.File) {
	t.Helper()
	file, problems := readFile(t, path)
	if len(problems) > 0 {
		t.Fatalf("problems of %s: %v", path, problems)
	}
	var settings config.Settings
	parser, err := kong.New(&settings, kong.Resolvers(file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(nil); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return settings, file
}

func readFile(t *testing.T, path string) (*config.File, []config.Problem) {
	t.Helper()
	file, problems, err := config.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file, problems
}
