package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// WriteMarkdown writes a table of all settings: names, defaults, explanations.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| setting | default | |\n|---|---|---|\n")
	for field := range reflect.TypeFor[Settings]().Fields() {
		tag := field.Tag
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", tag.Get("name"), code(tag.Get("default")), tag.Get("help"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
