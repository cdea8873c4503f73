package client

import (
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes one line of text that others wrote, such as a server, without anything that a
// terminal would obey.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case !unicode.IsPrint(r):
			return '\ufffd'
		default:
			return r
		}
	}, text)
}

// CleanLines is [Clean] for a text of several lines.
func CleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	return strings.Join(lines, "\n")
}

// maxActor is how many bytes of an actor the server takes.
const maxActor = 128

// Actor is "user@host", as far as both are known and can be said.
func Actor(user string) string {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	name := strings.Trim(user+"@"+host, "@")
	if CheckActor(name) != nil {
		return ""
	}
	return name
}

// CheckActor says whether the server takes a name.
func CheckActor(name string) error {
	if len(name) > maxActor || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("actor %q: want at most %d bytes of printable characters", Clean(name), maxActor)
	}
	return nil
}
