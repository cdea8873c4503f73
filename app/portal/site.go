package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed web
var web embed.FS

// site is the page and its files, rendered once at the start.
type site struct {
	// version is a hash over all files and part of their address. So they can
	// be cached for ever, and a new build is seen at once. One version for all
	// lets the scripts import each other by relative names.
	version string
	files   map[string][]byte // by base name
	html    []byte
	etag    string // of html, which depends on the configuration too
}

// pageData is what the template needs to know.
type pageData struct {
	Assets     string
	OndaAppID  string
	Sidecar    string
	FAQModel   string
	ImageModel string
	Types      string
	MaxBytes   int64
	MaxText    string
	TimeoutMS  int64
}

func newSite(cfg *Config) (*site, error) {
	s := &site{files: map[string][]byte{}}
	digest := sha256.New()
	// WalkDir is in lexical order, so that the same files give the same hash.
	err := fs.WalkDir(web, "web", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := web.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		s.files[path.Base(name)] = content
		_, _ = fmt.Fprintf(digest, "%s %d ", name, len(content)) // a hash never fails
		_, _ = digest.Write(content)

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("walk files: %w", err)
	}
	s.version = shortHash(digest.Sum(nil))

	return s, s.render(cfg)
}

func (s *site) render(cfg *Config) error {
	const index = "index.html"

	page, err := template.New(index).Parse(string(s.files[index]))
	if err != nil {
		return fmt.Errorf("parse template: %w", err)
	}
	delete(s.files, index) // served rendered, or not at all

	var out bytes.Buffer
	err = page.Execute(&out, pageData{
		Assets:     "/assets/" + s.version,
		OndaAppID:  cfg.OndaAppID,
		Sidecar:    trimSlash(cfg.Sidecar),
		FAQModel:   cfg.FAQModel,
		ImageModel: cfg.ImageModel,
		Types:      strings.Join(pictureTypes, ","),
		MaxBytes:   int64(cfg.MaxBody),
		MaxText:    spoken(cfg.MaxBody),
		TimeoutMS:  cfg.Timeout.Milliseconds(),
	})
	if err != nil {
		return fmt.Errorf("render template: %w", err)
	}
	s.html = out.Bytes()
	sum := sha256.Sum256(s.html)
	s.etag = `"` + shortHash(sum[:]) + `"`

	return nil
}

// shortHash has 48 bits: enough to tell builds apart, short enough to read.
func shortHash(sum []byte) string { return hex.EncodeToString(sum)[:12] }

// spoken writes a size the way people do.
func spoken(size ByteSize) string {
	return strings.NewReplacer("GiB", " GB", "MiB", " MB", "KiB", " KB").Replace(size.String())
}

func (s *site) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Etag", s.etag)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.html))
}

// asset serves a file under the current version only: an old address must not
// be cached with new content.
func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	file := r.PathValue("name")
	content, ok := s.files[file]
	if !ok || r.PathValue("version") != s.version {
		http.NotFound(w, r)

		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", contentType(file))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// favicon serves browsers that do not take the icon named in the page.
func (s *site) favicon(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/assets/"+s.version+"/favicon.svg", http.StatusFound)
}

// contentType does not ask the system's table for what the page is made of,
// because that table differs from machine to machine.
func contentType(file string) string {
	switch path.Ext(file) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(path.Ext(file))
	}
}
