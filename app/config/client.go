package config

import (
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// ClientSettings are what the commands that talk to a running Onda take from the
// environment, where their flags say nothing. They are no settings of the server, and so
// not in [Settings].
type ClientSettings struct {
	// Server is the address of the Onda to talk to; empty for none.
	Server string `envconfig:"ONDA_SERVER"`
	// Token that lets its bearer change models; empty for none.
	Token Secret `envconfig:"ONDA_REGISTRY_TOKEN"`
	// User is the name of whoever is logged in; empty where nobody says so.
	User string `envconfig:"USER"`
	// NoColor asks for output without colours if it is not empty: see no-color.org.
	NoColor string `envconfig:"NO_COLOR"`
	// Terminal is the kind of terminal; "dumb" ones cannot move the cursor.
	Terminal string `envconfig:"TERM"`
}

// Client reads the settings of the commands that talk to a running Onda. Texts are all that
// it reads, so nothing can be wrong with them.
func Client() ClientSettings {
	var s ClientSettings
	// The only errors are values that do not fit their types.
	_ = envconfig.Process("", &s)
	return s
}

// clientVariables names the variables of [ClientSettings].
func clientVariables() []string {
	t := reflect.TypeFor[ClientSettings]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = variable(t.Field(i))
	}
	return names
}

// PlainEnvironment is the environment of this process without what could be a secret: it is
// for a process that runs what others wrote.
func PlainEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(strings.ToUpper(pair), "=")
		cloud := strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "GOOGLE_")
		return cloud || slices.ContainsFunc([]string{"TOKEN", "SECRET", "PASSWORD", "KEY", "CREDENTIAL"}, func(word string) bool {
			return strings.Contains(name, word)
		})
	})
}
