package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// File is a file of settings: names and values, as text, with their lines.
type File struct {
	Path   string
	values map[string][]string
	lines  map[string]int
}

// ReadFile reads a YAML file of settings: a flat map from the names of
// [Settings] to values, lists where a setting is repeatable. Everything that is
// wrong with it is a [Problem], and the file counts without that; the error is for
// a file that cannot be read at all.
func ReadFile(path string) (*File, []Problem, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, nil, err
	}
	f := &File{Path: path, values: map[string][]string{}, lines: map[string]int{}}
	docs := yaml.NewDecoder(bytes.NewReader(raw))
	var doc, more yaml.Node
	if err := docs.Decode(&doc); errors.Is(err, io.EOF) {
		return f, nil, nil
	} else if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := docs.Decode(&more); !errors.Is(err, io.EOF) {
		return f, []Problem{{File: path, Line: more.Line, Setting: "(file)", Message: "it must have one document: no ---"}}, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return f, []Problem{{File: path, Line: root.Line, Setting: "(file)", Message: "it must be a list of name: value"}}, nil
	}
	var problems []Problem
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if message := f.put(key, value); message != "" {
			problems = append(problems, Problem{Setting: key.Value, File: path, Line: key.Line, Message: message})
		}
	}
	problems = append(problems, f.checkValues()...)
	slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
	return f, problems, nil
}

// put takes one setting, and returns what is wrong with it, "" for nothing.
func (f *File) put(key, value *yaml.Node) string {
	field, ok := fields()[key.Value]
	if !ok {
		if near := nearest(key.Value); near != "" {
			return "there is no such setting; is it " + near + "?"
		}
		return "there is no such setting"
	}
	if line, twice := f.lines[key.Value]; twice {
		return fmt.Sprintf("it stands in line %d already", line)
	}
	f.lines[key.Value] = key.Line
	list := field.Type.Kind() == reflect.Slice
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag != "!!null":
		f.values[key.Value] = []string{value.Value}
	case value.Kind == yaml.SequenceNode && list:
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				delete(f.values, key.Value)
				return "each item of its list must be a single value"
			}
			f.values[key.Value] = append(f.values[key.Value], item.Value)
		}
	case list:
		return "its value must be a list"
	default:
		return "it has no single value"
	}
	return ""
}

// Line is the line where a setting stands, 0 for nowhere.
func (f *File) Line(name string) int { return f.lines[name] }

// Values is what the file says of a setting, nil for nothing.
func (f *File) Values(name string) []string { return f.values[name] }

// Names lists the names of all settings, in their order.
func Names() []string {
	var names []string
	for _, s := range List() {
		names = append(names, s.Name)
	}
	return names
}

// fields is the fields of [Settings] by the names of the settings.
func fields() map[string]reflect.StructField {
	m := map[string]reflect.StructField{}
	for field := range reflect.TypeFor[Settings]().Fields() {
		m[field.Tag.Get("name")] = field
	}
	return m
}

// nearest is the setting whose name is most like the given one, "" if none is.
func nearest(name string) string {
	best, limit := "", len(name)/3+1
	for _, n := range Names() {
		if d := distance(name, n); d < limit {
			best, limit = n, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
