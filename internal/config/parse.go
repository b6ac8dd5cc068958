package config

import (
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// EnvPrefix stands before the names of variables: LETHE_SERVER_NAME is the
// setting server-name.
const EnvPrefix = "LETHE"

// Defaults are the settings of a server that is told nothing.
func Defaults() Settings {
	var s Settings
	// The tags are constants of this program: a mistake in them fails every test.
	if err := parse(&s, nil); err != nil {
		panic(err)
	}
	return s
}

// parse reads flags, and nothing else, into s.
func parse(s *Settings, flags []string) error {
	_, err := kong.Must(s, kong.Exit(func(int) {}), kong.NoDefaultHelp()).Parse(flags)
	return err
}

// flags is what the file says, as flags.
func (f *File) flags(names ...string) (flags []string) {
	for _, name := range names {
		for _, value := range f.values[name] {
			flags = append(flags, "--"+name+"="+value)
		}
	}
	return flags
}

// checkValues finds values that are not of their setting's type, and takes them
// out: what is said of the others does not depend on them.
func (f *File) checkValues() (problems []Problem) {
	var s Settings
	if parse(&s, f.flags(Names()...)) == nil {
		return nil
	}
	for _, name := range Names() {
		if err := parse(&s, f.flags(name)); err != nil {
			message := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "--"+name+" "), "--"+name+": ")
			problems = append(problems, Problem{Setting: name, File: f.Path, Line: f.lines[name], Message: message})
			delete(f.values, name)
		}
	}
	return problems
}

// Resolve is what the file says of a flag, nil where it says nothing or a
// variable says more: precedence is flag, variable, file, default.
func (f *File) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	values := f.values[flag.Name]
	set := func(name string) bool { _, ok := os.LookupEnv(name); return ok }
	if len(values) == 0 || slices.ContainsFunc(flag.Envs, set) {
		return nil, nil //nolint:nilnil // kong's way to say so
	}
	if !flag.IsSlice() {
		return values[0], nil
	}
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list, nil
}

// Validate is part of kong's interface; [ReadFile] has looked.
func (*File) Validate(*kong.Application) error { return nil }
