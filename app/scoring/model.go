package scoring

import (
	"strconv"
	"strings"
)

// MaxNameLen bounds a model's name and a label, in bytes. Names become folder names,
// state keys and metric labels, all of which have limits of their own.
const MaxNameLen = 128

// ModelRef says which model a caller means: a name and, at most, one of a version and a
// label. With neither, the label "live" decides.
type ModelRef struct {
	// Name of the model, such as "faq-matching".
	Name string
	// Version is a positive integer, or 0 for "not given".
	Version int64
	// Label is a movable name of a version, or "" for "not given".
	Label string
}

// LabelLive is the label that answers a request naming neither version nor label.
const LabelLive = "live"

// String gives the path form: "m", "m/versions/3" or "m/labels/canary". It is also the
// form of an event's subject.
func (r ModelRef) String() string {
	switch {
	case r.Version != 0:
		return r.Name + "/versions/" + strconv.FormatInt(r.Version, 10)
	case r.Label != "":
		return r.Name + "/labels/" + r.Label
	default:
		return r.Name
	}
}

// ParseModelRef reads the form that [ModelRef.String] writes. The error is an [Error]
// with code [Invalid].
func ParseModelRef(s string) (ModelRef, error) {
	name, rest, more := strings.Cut(s, "/")
	ref := ModelRef{Name: name}
	if err := CheckName("model name", name); err != nil {
		return ModelRef{}, err
	}
	if !more {
		return ref, nil
	}
	kind, value, _ := strings.Cut(rest, "/")
	switch kind {
	case "versions":
		version, err := ParseVersion(value)
		if err != nil {
			return ModelRef{}, err
		}
		ref.Version = version
	case "labels":
		if err := CheckName("label", value); err != nil {
			return ModelRef{}, err
		}
		ref.Label = value
	default:
		return ModelRef{}, Errorf(Invalid, `model reference %q: want "model", "model/versions/N" or "model/labels/L"`, clip(s))
	}
	return ref, nil
}

// ParseModelName reads what people write: "faq", "faq:2" and "faq@2" for a version, "faq:live"
// and "faq@live" for a label, and the forms of [ParseModelRef]. What is a number is a version:
// a label of digits has the long form. The error is an [Error] with code [Invalid].
func ParseModelName(s string) (ModelRef, error) {
	at := strings.IndexAny(s, ":@")
	if at < 0 {
		return ParseModelRef(s)
	}
	name, which := s[:at], s[at+1:]
	if strings.Trim(which, "0123456789") == "" {
		return ParseModelRef(name + "/versions/" + which)
	}
	return ParseModelRef(name + "/labels/" + which)
}

// ParseVersion reads a version number: decimal digits, at least 1 and without leading
// zeros, so that a version has one path. The error is an [Error] with code [Invalid].
func ParseVersion(s string) (int64, error) {
	version, err := strconv.ParseInt(s, 10, 64)
	if err != nil || version < 1 || strconv.FormatInt(version, 10) != s {
		return 0, Errorf(Invalid, "version %q: want a positive whole number", clip(s))
	}
	return version, nil
}

// CheckName says whether s can name a model or a label: 1 to [MaxNameLen] of the
// characters A-Z a-z 0-9 . _ - and a letter or digit first. Anything else would be
// rewritten on its way through a sidecar, or could leave the models folder. The error
// is an [Error] with code [Invalid] that begins with what.
func CheckName(what, s string) error {
	if s == "" {
		return Errorf(Invalid, "%s is empty", what)
	}
	if len(s) > MaxNameLen {
		return Errorf(Invalid, "%s is %d bytes long: at most %d are allowed", what, len(s), MaxNameLen)
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if alnum || i > 0 && (c == '.' || c == '_' || c == '-') {
			continue
		}
		return Errorf(Invalid, "%s %q: use letters, digits, '.', '_' and '-', a letter or digit first", what, clip(s))
	}
	return nil
}

// ModelID says which version answered. It is part of every answer, so that a caller can
// tell later what produced it.
type ModelID struct {
	// Name of the model.
	Name string
	// Version under that name.
	Version int64
	// Digest of the version's artifact: "sha256:" and 64 hexadecimal digits.
	Digest string
}

// String gives "name@version", for logs and errors.
func (m ModelID) String() string {
	return m.Name + "@" + strconv.FormatInt(m.Version, 10)
}

// clip shortens what a caller sent before it is repeated in an error.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
