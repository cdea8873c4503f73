package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Setting describes one setting, for the README and for `onda config`.
type Setting struct {
	// Name of the environment variable.
	Name string
	// Default value, or "" for none.
	Default string
	// Meaning in a few words.
	Meaning string

	field int
}

// Settings lists every setting in the order of [Config].
func Settings() []Setting {
	t := reflect.TypeFor[Config]()
	all := make([]Setting, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		all = append(all, Setting{
			Name:    variable(f),
			Default: f.Tag.Get("default"),
			Meaning: f.Tag.Get("desc"),
			field:   i,
		})
	}
	return all
}

// Value gives the setting's value in c, with secrets hidden.
func (s Setting) Value(c Config) string {
	return fmt.Sprint(reflect.ValueOf(c).Field(s.field).Interface())
}

// variable names the environment variable of a field.
func variable(f reflect.StructField) string { return f.Tag.Get("envconfig") }

// Markdown is the table of the settings that stands in README.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range Settings() {
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, def, s.Meaning)
	}
	return b.String()
}
