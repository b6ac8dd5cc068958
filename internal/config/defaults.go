package config

import "github.com/alecthomas/kong"

// Defaults are the settings of a server that is told nothing.
func Defaults() Settings {
	var s Settings
	// The tags are constants of this program: a mistake in them fails every test.
	if _, err := kong.Must(&s).Parse(nil); err != nil {
		panic(err)
	}
	return s
}
