package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
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

// Secrets lists what must not be in the log: the settings that are secret, and the values of the
// environment's other variables whose names say that they are, such as AZURE_CLIENT_SECRET, with
// which libraries sign in by themselves.
func (c Config) Secrets() []string {
	var all []string
	for _, field := range reflect.ValueOf(c).Fields() {
		if secret, ok := reflect.TypeAssert[Secret](field); ok && secret != "" {
			all = append(all, secret.Reveal())
		}
	}
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); len(value) >= leastSecret && secretName.MatchString(name) {
			all = append(all, value)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// secretName matches names of variables that hold a secret, not the name of a file with one.
var secretName = regexp.MustCompile(`(?i)(TOKEN|SECRET|PASSWORD|PASSWD|ACCESS_KEY|ACCOUNT_KEY|API_KEY|STORAGE_KEY|CONNECTION_STRING|OTLP_HEADERS|OTLP_TRACES_HEADERS)$`)

// leastSecret is the length from which the value of somebody else's variable is taken for one.
const leastSecret = 8

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
