// Package gcstest gives tests a server that speaks as much of the JSON API of Google Cloud
// Storage as reading, listing and writing objects take, as strictly as Google does where a
// client could be wrong.
package gcstest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// unit is what the size of each part of an upload but the last must be a multiple of.
const unit = 256 << 10

// Server is one that runs. What is exported may be changed before the first request.
type Server struct {
	// Intercept sees every request first, unless it is nil; next answers it.
	Intercept func(w http.ResponseWriter, r *http.Request, next http.Handler)
	// Token is what has to be shown; empty lets everybody in.
	Token string
	// PageObjects is how many objects a page of a list has at most; 0 is 1,000.
	PageObjects int
	// TakeBytes is how much is taken of a part of an upload at once; 0 is all of it.
	TakeBytes int64

	server *httptest.Server

	mu         sync.Mutex
	buckets    map[string]map[string]object
	uploads    map[string]*upload
	generation int64
}

type object struct {
	data       []byte
	encoding   string
	generation int64
}

type upload struct {
	bucket, name string
	data         []byte
	done         bool
}

// New starts a server with the buckets; it must be closed.
func New(buckets ...string) *Server {
	s := &Server{buckets: map[string]map[string]object{}, uploads: map[string]*upload{}, generation: 1700000000000000}
	for _, name := range buckets {
		s.buckets[name] = map[string]object{}
	}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Intercept != nil {
			s.Intercept(w, r, http.HandlerFunc(s.serve))
			return
		}
		s.serve(w, r)
	}))
	return s
}

// Close ends it.
func (s *Server) Close() { s.server.Close() }

// Host is its host and port.
func (s *Server) Host() string { return s.server.Listener.Addr().String() }

// Put makes an object, or a new generation of it.
func (s *Server) Put(bucket, name string, data []byte) { s.PutEncoded(bucket, name, "", data) }

// PutEncoded is [Server.Put] with a Content-Encoding.
func (s *Server) PutEncoded(bucket, name, encoding string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.buckets[bucket][name] = object{data: slices.Clone(data), encoding: encoding, generation: s.generation}
}

// Remove deletes an object.
func (s *Server) Remove(bucket, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.buckets[bucket], name)
}

// Get gives an object.
func (s *Server) Get(bucket, name string) (data []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.buckets[bucket][name]
	return o.data, ok
}

// Uploads is how many were begun and neither completed nor given up.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := 0
	for _, u := range s.uploads {
		if !u.done {
			open++
		}
	}
	return open
}

// serve takes the path apart as it was sent: names hold slashes that are escaped.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	if id := query.Get("upload_id"); id != "" {
		s.part(w, r, id)
		return
	}
	if s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		fail(w, http.StatusUnauthorized, "Invalid Credentials")
		return
	}
	path, uploading := strings.CutPrefix(r.URL.EscapedPath(), "/upload")
	parts := strings.Split(strings.TrimPrefix(path, "/storage/v1/b/"), "/")
	bucket, err := url.PathUnescape(parts[0])
	objects, known := s.buckets[bucket]
	switch {
	case !strings.HasPrefix(path, "/storage/v1/b/") || len(parts) < 2 || len(parts) > 3 || parts[1] != "o" || err != nil:
		fail(w, http.StatusNotFound, "Not Found")
	case !known:
		fail(w, http.StatusNotFound, "The specified bucket does not exist.")
	case uploading && r.Method == http.MethodPost && query.Get("uploadType") == "resumable" && query.Get("name") != "":
		id := rand.Text()
		s.uploads[id] = &upload{bucket: bucket, name: query.Get("name")}
		w.Header().Set("Location", s.server.URL+r.URL.RequestURI()+"&upload_id="+id)
	case uploading || r.Method != http.MethodGet:
		fail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	case len(parts) == 2:
		s.list(w, objects, query)
	default:
		name, err := url.PathUnescape(parts[2])
		o, ok := objects[name]
		if err != nil || !ok || query.Has("generation") && query.Get("generation") != strconv.FormatInt(o.generation, 10) {
			missing(w, query.Get("alt") == "media", bucket+"/"+name)
			return
		}
		s.read(w, r, name, o)
	}
}

// fail answers as the JSON API does.
func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": message}})
}

// missing answers as Google does: a download is answered with plain text.
func missing(w http.ResponseWriter, media bool, name string) {
	if !media {
		fail(w, http.StatusNotFound, "No such object: "+name)
		return
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, "No such object: "+name)
}

// read answers with an object, or what there is to say of it.
func (s *Server) read(w http.ResponseWriter, r *http.Request, name string, o object) {
	if r.URL.Query().Get("alt") != "media" {
		reply(w, map[string]any{"name": name, "size": strconv.Itoa(len(o.data)), "generation": strconv.FormatInt(o.generation, 10)})
		return
	}
	h := w.Header()
	h.Set("X-Goog-Generation", strconv.FormatInt(o.generation, 10))
	h.Set("X-Goog-Hash", "crc32c="+sumOf(o.data)+",md5=AAAAAAAAAAAAAAAAAAAAAA==")
	h.Set("X-Goog-Stored-Content-Length", strconv.Itoa(len(o.data)))
	h.Set("Content-Type", "application/octet-stream")
	if o.encoding != "" {
		h.Set("Content-Encoding", o.encoding)
		if !strings.Contains(r.Header.Get("Accept-Encoding"), o.encoding) {
			fail(w, http.StatusNotImplemented, "this server does not transcode")
			return
		}
	}
	data, status := o.data, http.StatusOK
	if text := r.Header.Get("Range"); text != "" {
		first, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(text, "bytes="), "-"))
		if err != nil || first >= len(data) {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", len(data)))
			fail(w, http.StatusRequestedRangeNotSatisfiable, "The requested range cannot be satisfied.")
			return
		}
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, len(data)-1, len(data)))
		data, status = data[first:], http.StatusPartialContent
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

func (s *Server) list(w http.ResponseWriter, objects map[string]object, query url.Values) {
	limit, err := strconv.Atoi(query.Get("maxResults"))
	if err != nil {
		limit = 1000
	}
	if s.PageObjects > 0 {
		limit = min(limit, s.PageObjects)
	}
	after, err := base64.URLEncoding.DecodeString(query.Get("pageToken"))
	if err != nil {
		fail(w, http.StatusBadRequest, "Invalid Value")
		return
	}
	answer := map[string]any{}
	items := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(name, query.Get("prefix")) || name <= string(after) {
			continue
		}
		if len(items) == limit {
			answer["nextPageToken"] = base64.URLEncoding.EncodeToString([]byte(items[limit-1]["name"]))
			break
		}
		items = append(items, map[string]string{"name": name, "size": strconv.Itoa(len(objects[name].data))})
	}
	if len(items) > 0 {
		answer["items"] = items
	}
	reply(w, answer)
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Date", time.Unix(0, 0).UTC().Format(http.TimeFormat))
	_ = json.NewEncoder(w).Encode(answer)
}

// sumOf is the CRC32C as Google writes it.
func sumOf(data []byte) string {
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}
