package blobs

import (
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// Bounds of what a caller gives, in bytes.
const (
	maxURLBytes  = 2048
	maxPathBytes = 512
	// maxNameBytes is what file systems allow for a part of a path.
	maxNameBytes = 255
)

// fileScheme is that of folders of this machine.
const fileScheme = "file"

// bucketName is what a container or bucket can be called in any of the storages.
var bucketName = regexp.MustCompile(`^\$?[A-Za-z0-9][A-Za-z0-9._-]{0,221}$`)

// location is a URL in its parts.
type location struct {
	scheme string
	bucket string     // empty for a folder of this machine
	path   []string   // what follows, decoded
	query  url.Values // how the storage is reached
}

// String is the location without its parameters, which are nobody's business.
func (l location) String() string {
	u := url.URL{Scheme: l.scheme, Host: l.bucket, Path: strings.Join(append([]string{""}, l.path...), "/")}
	if l.scheme == fileScheme {
		u.OmitHost, u.Path = false, "/"+strings.Join(l.path, "/")
		return fileScheme + "://" + u.EscapedPath()
	}
	return u.String()
}

// below gives the folder of l as seen from base, which is above it: with a slash at its end,
// if it is not base itself.
func (l location) below(base location) string {
	rest := strings.Join(l.path[len(base.path):], "/")
	if rest == "" {
		return ""
	}
	return rest + "/"
}

// parse takes a URL apart. Its errors are Invalid, and never hold the URL: there could be a
// password or a signature in it.
func parse(raw string) (location, error) {
	if len(raw) > maxURLBytes {
		return location{}, invalid("location: %d bytes are too long for a URL: at most %d are allowed", len(raw), maxURLBytes)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return location{}, invalid("location: want the URL of a folder, such as azblob://container/folder")
	}
	known := slices.Sorted(maps.Keys(schemes))
	if !slices.Contains(known, u.Scheme) {
		return location{}, invalid("location: the scheme %q is not known: want %s", clip(u.Scheme), strings.Join(known, ", "))
	}
	if u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return location{}, invalid("location: want %s://name/folder: no user, no password, no #", u.Scheme)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return location{}, invalid("location: what follows the question mark cannot be read: want name=value, joined by &")
	}
	l := location{scheme: u.Scheme, bucket: u.Host, query: query}
	if err := l.checkBucket(); err != nil {
		return location{}, err
	}
	l.path, err = elements(u.Path)
	return l, err
}

// parseSetting is [parse] for what the operator gives, which can also be the path of a folder.
func parseSetting(raw string) (location, error) {
	isPath := strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, ".") || raw != "" && !strings.Contains(raw, ":")
	if !isPath {
		return parse(raw)
	}
	dir, err := filepath.Abs(raw)
	if err != nil {
		return location{}, err
	}
	l := location{scheme: fileScheme}
	if dir = strings.Trim(filepath.ToSlash(dir), "/"); dir != "" {
		l.path = strings.Split(dir, "/")
	}
	return l, nil
}

// checkBucket checks the part between :// and the next slash.
func (l *location) checkBucket() error {
	if l.scheme == fileScheme {
		if l.bucket != "" && l.bucket != "localhost" {
			return invalid("location: want file:/// with three slashes and the whole path of a folder")
		}
		l.bucket = ""
		if len(l.query) > 0 {
			return invalid("location: a file URL has no parameters: leave out what follows the question mark")
		}
		return nil
	}
	if l.bucket == "" {
		return invalid("location: the container or bucket is missing: want %s://name/folder", l.scheme)
	}
	if !bucketName.MatchString(l.bucket) {
		return invalid("location: %q is no name of a container or bucket: want letters, digits, '.', '_' and '-'", clip(l.bucket))
	}
	return nil
}

// elements splits a URL's decoded path. A slash at its end is allowed.
func elements(text string) ([]string, error) {
	text = strings.TrimPrefix(strings.TrimSuffix(text, "/"), "/")
	if text == "" {
		return nil, nil
	}
	if err := checkPath("location", text); err != nil {
		return nil, err
	}
	return strings.Split(text, "/"), nil
}

// CheckPath checks the path of a file below its version's folder: relative, with slashes, and
// nothing in it that leads out of the folder. The error is Invalid.
func CheckPath(name string) error { return checkPath("file", name) }

func checkPath(what, name string) error {
	switch {
	case name == "":
		return invalid("%s: the path is empty", what)
	case len(name) > maxPathBytes:
		return invalid("%s: the path is %d bytes long: at most %d are allowed", what, len(name), maxPathBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`):
		return invalid("%s %q: want a path of UTF-8 text with slashes, without backslashes and control characters", what, clip(name))
	case path.Clean(name) != name || !filepath.IsLocal(name) || name == ".":
		return invalid("%s %q: want a path below the folder: no slash at its ends, no \"..\", \".\" or empty part in it", what, clip(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxNameBytes {
			return invalid("%s %q: a part of the path is %d bytes long: at most %d are allowed", what, clip(name), len(part), maxNameBytes)
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return scoring.Errorf(scoring.Invalid, format, args...)
}

// clip bounds what is repeated of a caller's text.
func clip(s string) string {
	if len(s) <= 100 {
		return s
	}
	return strings.ToValidUTF8(s[:100], "") + "..."
}
