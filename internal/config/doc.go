// Package config is the settings of the server: one struct, filled from flags,
// LETHE_… variables and a YAML file, under the same names.
//
// Holds: [Settings], [File], the checks of both, and the value types.
//
// May import: matrix.
//
// Never: what a setting does.
package config
