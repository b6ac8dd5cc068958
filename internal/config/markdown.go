package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Setting explains a setting.
type Setting struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Help    string `json:"help"`
}

// List lists all settings, in their order.
func List() (list []Setting) {
	for field := range reflect.TypeFor[Settings]().Fields() {
		list = append(list, Setting{field.Tag.Get("name"), field.Tag.Get("default"), field.Tag.Get("help")})
	}
	return list
}

// WriteMarkdown writes a table of all settings: names, defaults, explanations.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| setting | default | |\n|---|---|---|\n")
	for _, s := range List() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, code(s.Default), s.Help)
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
