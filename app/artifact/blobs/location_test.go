package blobs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/scoring"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, url string
		code      scoring.Code
		want      string
	}{
		{"nothing", "", scoring.Invalid, "want the URL of a folder, such as azblob://container/folder"},
		{"a path", "/srv/models", scoring.Invalid, "want the URL of a folder"},
		{"no URL", "azblob://%zz", scoring.Invalid, "want the URL of a folder"},
		{"another scheme", "https://account.blob.core.windows.net/c?sig=secret", scoring.Invalid, `"https" is not known: want azblob, file, gs, s3`},
		{"no bucket", "s3:///models?sig=secret", scoring.Invalid, "the container or bucket is missing: want s3://name/folder"},
		{"no slashes", "azblob:models", scoring.Invalid, "want azblob://name/folder"},
		{"a password", "azblob://me:secret@models/faq", scoring.Invalid, "no user, no password"},
		{"a port", "azblob://models:8080/faq", scoring.Invalid, "is no name of a container or bucket"},
		{"a bucket that leads up", "azblob://../faq", scoring.Invalid, "is no name of a container or bucket"},
		{"a fragment", "gs://models/faq#secret", scoring.Invalid, "no #"},
		{"parts that lead up", "azblob://models/faq/../../other", scoring.Invalid, `no ".."`},
		{"encoded parts that lead up", "azblob://models/faq/%2e%2e/other", scoring.Invalid, `no ".."`},
		{"an encoded slash that leads up", "azblob://models/faq%2f..%2fother", scoring.Invalid, `no ".."`},
		{"an empty part", "azblob://models/faq//3", scoring.Invalid, "empty part"},
		{"a backslash", `azblob://models/faq%5C..`, scoring.Invalid, "without backslashes"},
		{"a control character", "azblob://models/faq%00", scoring.Invalid, "control characters"},
		{"a folder of another host", "file://server/models", scoring.Invalid, "want file:/// with three slashes"},
		{"a folder with parameters", "file:///srv?sig=secret", scoring.Invalid, "leave out what follows the question mark"},
		{"parameters that are none", "s3://models/a?sig=secret;a", scoring.Invalid, "cannot be read"},
		{"a long URL", "s3://models/" + strings.Repeat("a", 3000), scoring.Invalid, "at most 2048 are allowed"},
		{"a long path", "s3://models/" + strings.Repeat("a/", 300) + "b", scoring.Invalid, "at most 512 are allowed"},
		{"a long part", "s3://models/" + strings.Repeat("a", 300), scoring.Invalid, "a part of the path is 300 bytes long"},

		{"what is not listed", "azblob://other/faq?sig=secret", scoring.Denied, "azblob://other/faq: not below a folder that is allowed: the operator of the server names them in ONDA_ARTIFACT_SOURCES"},
		{"a bucket's longer name", "azblob://models-private/faq", scoring.Denied, "not below a folder"},
		{"a folder's longer name", "file:///srv/models-private/faq", scoring.Denied, "not below a folder"},
		{"a folder above", "file:///srv", scoring.Denied, "not below a folder"},
		{"another scheme's", "s3://models/faq", scoring.Denied, "not below a folder"},
		{"another end point", "azblob://models/faq?domain=attacker.example", scoring.Denied, "the parameters after the question mark differ from those in ONDA_ARTIFACT_SOURCES: leave them out"},
		{"a signature", "azblob://models/faq?sig=secret", scoring.Denied, "leave them out"},
		{"a parameter more", "s3://data/faq?region=eu-west-1&endpoint=https://attacker.example", scoring.Denied, "leave them out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := blobs.Open(t.Context(), tt.url, blobs.Allow{"azblob://models", "file:///srv/models", "s3://data?region=eu-west-1"})
			refused(t, err, tt.code, tt.want)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%q tells what may be a secret", err)
			}
		})
	}
}

func TestNothingIsAllowedByDefault(t *testing.T) {
	t.Parallel()
	_, err := blobs.Open(t.Context(), "file:///etc", nil)
	refused(t, err, scoring.Denied, "file:///etc: no place is allowed", "ONDA_ARTIFACT_SOURCES")
}

func TestAllowValidate(t *testing.T) {
	t.Parallel()
	if err := (blobs.Allow{"azblob://models", "file:///srv/models/", "/srv/a b", "./models", "models", "s3://data/a/b?region=eu-west-1", "gs://data"}).Validate(); err != nil {
		t.Error(err)
	}
	err := blobs.Allow{"azblob://models", "", "ftp://secret"}.Validate()
	want := "ONDA_ARTIFACT_SOURCES: entry 2: location: want the URL of a folder, such as azblob://container/folder\n" +
		"ONDA_ARTIFACT_SOURCES: entry 3: location: the scheme \"ftp\" is not known: want azblob, file, gs, s3"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	// An entry that is wrong allows nothing, and does not keep the others from it.
	if _, err := blobs.Open(t.Context(), "file:///srv/none/at/all", blobs.Allow{"srv:secret", "file:///nowhere"}); scoring.CodeOf(err) != scoring.Denied {
		t.Errorf("got %v, want Denied", err)
	}
}

// The operator may give paths, whoever registers a version may not.
func TestAllowPaths(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a b/faq/model.onnx": "0123"})
	s := open(t, "file://"+dir+"/a%20b/faq", dir+"/a b/")
	wantFile(t, s, "model.onnx", 1, []byte("123"))
	wantFile(t, open(t, "file://"+dir+"/a%20b", "/"), "faq/model.onnx", 1, []byte("123"))
	_, err := openError(t, dir, dir)
	refused(t, err, scoring.Invalid, "want the URL of a folder")
	_, err = openError(t, "file://"+dir, dir+"/a b")
	refused(t, err, scoring.Denied)
}

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"model.onnx", "variables/a b/ü.bin", "a..b", ".hidden", strings.Repeat("a", 255)} {
		if err := blobs.CheckPath(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "../a", "a/../b", "a/..", "/a", "a/", "a//b", "./a", `a\b`, "a\nb", "a\x00", "\xff",
		strings.Repeat("a", 256), strings.Repeat("a/", 300) + "a",
	} {
		if err := blobs.CheckPath(name); scoring.CodeOf(err) != scoring.Invalid {
			t.Errorf("%q: got %v, want Invalid", name, err)
		}
	}
}

func TestCheckSum(t *testing.T) {
	t.Parallel()
	if err := blobs.CheckSum(sumOf(nil)); err != nil {
		t.Error(err)
	}
	for _, sum := range []string{"", "abc", strings.ToUpper(sumOf(nil)), sumOf(nil) + "0", "../" + sumOf(nil)[3:]} {
		refused(t, blobs.CheckSum(sum), scoring.Invalid, "want 64 hexadecimal digits")
	}
}

// FuzzOpen looks for a URL that reads what is not below the allowed folder.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	allowed := filepath.Join(dir, "allowed")
	for _, name := range []string{"allowed/faq/in", "allowed-not/out", "out"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			f.Fatal(err)
		}
	}
	for _, seed := range []string{"", "/", "/faq", "/faq/", "/../", "/%2e%2e", "-not", "/faq/%2E%2E/..", "/faq?a=b", "//", "/faq/..%2f..", "#", "/\x00"} {
		f.Add(seed, "in")
	}
	f.Add("/faq", "../../out")
	f.Fuzz(func(t *testing.T, end, name string) {
		s, err := blobs.Open(t.Context(), "file://"+allowed+end, blobs.Allow{"file://" + allowed})
		if err != nil {
			if code := scoring.CodeOf(err); code == scoring.Internal {
				t.Fatalf("%v: not an error for callers", err)
			}
			return
		}
		defer s.Close()
		if r, err := s.Open(t.Context(), name, 0); err == nil {
			r.Close()
			if !strings.HasSuffix(name, "in") {
				t.Errorf("%q, %q: read a file that is not there to be read", end, name)
			}
		}
		files, err := s.List(t.Context())
		if err != nil {
			return
		}
		for name := range files {
			if filepath.Base(name) != "in" {
				t.Errorf("%q: lists %q", end, name)
			}
		}
	})
}
