package gcstest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// part takes a part of an upload, or says how much of it is there.
func (s *Server) part(w http.ResponseWriter, r *http.Request, id string) {
	u, ok := s.uploads[id]
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "Not Found")
	case r.Header.Get("Authorization") != "":
		fail(w, http.StatusBadRequest, "this server wants no token beside the right that the URL is")
	case r.Method == http.MethodDelete:
		delete(s.uploads, id)
		w.WriteHeader(499)
	case r.Method != http.MethodPut:
		fail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	case u.done:
		reply(w, map[string]any{"name": u.name, "size": strconv.Itoa(len(u.data))})
	default:
		s.take(w, r, u)
	}
}

// take reads the part. What the connection brought before it broke is kept.
func (s *Server) take(w http.ResponseWriter, r *http.Request, u *upload) {
	span, total, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Content-Range"), "bytes "), "/")
	body, readErr := io.ReadAll(r.Body)
	if !ok {
		fail(w, http.StatusBadRequest, "Failed to parse Content-Range header.")
		return
	}
	if span != "*" {
		var first, last int
		if n, err := fmt.Sscanf(span, "%d-%d", &first, &last); n != 2 || err != nil || first != len(u.data) || readErr == nil && last-first+1 != len(body) {
			fail(w, http.StatusBadRequest, "Invalid request: the range does not begin where the upload ends.")
			return
		}
		if total == "*" && (last-first+1)%unit != 0 {
			fail(w, http.StatusBadRequest, "Invalid request: the size of a part must be a multiple of 262144.")
			return
		}
		if s.TakeBytes > 0 && int64(len(body)) > s.TakeBytes {
			body = body[:s.TakeBytes]
		}
		if readErr != nil {
			body = body[:len(body)/unit*unit]
		}
		u.data = append(u.data, body...)
	}
	if size, err := strconv.Atoi(total); err == nil && size == len(u.data) && readErr == nil {
		s.complete(w, r, u)
		return
	}
	if len(u.data) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(u.data)-1))
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}

// complete makes the object, unless it is another than the client says. The upload stays, so
// that a client who did not hear of it can ask.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, u *upload) {
	if sum, ok := strings.CutPrefix(r.Header.Get("X-Goog-Hash"), "crc32c="); ok && sum != sumOf(u.data) {
		fail(w, http.StatusBadRequest, "Provided CRC32C does not match the calculated one.")
		return
	}
	s.generation++
	s.buckets[u.bucket][u.name] = object{data: u.data, generation: s.generation}
	u.done = true
	reply(w, map[string]any{"name": u.name, "size": strconv.Itoa(len(u.data))})
}
