package portal

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
)

const (
	// maxQuestion is far above any question, and far below what would make
	// reading one expensive.
	maxQuestion ByteSize = 16 << 10
	// maxTopK is as many answers as a person could want to look at.
	maxTopK = 100
)

// pictureTypes are what Onda's image pipeline decodes.
var pictureTypes = []string{"image/jpeg", "image/png", "image/webp", "image/gif"}

// passed are the headers of an answer that reach the page. A list of what may
// pass stays right when the sidecar or Onda adds one.
var passed = []string{"Content-Type", "Retry-After", "Server-Timing"}

// scenario is one thing that the page offers.
type scenario struct {
	model string
	types []string
	limit ByteSize
}

// score passes a request of the page on to the scenario's model and its answer
// back, both as streams.
func (s *Server) score(sc scenario) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		release, ok := s.enter()
		if !ok {
			w.Header().Set("Retry-After", "1")
			busy().write(w)

			return
		}
		defer release()

		in, refusal := sc.admit(w, r)
		if refusal != nil {
			refusal.write(w)

			return
		}
		s.forward(w, r, in)
	}
}

// enter takes one of the places for calls in flight. It never waits: a person
// is better told at once. release gives the place back.
func (s *Server) enter() (release func(), ok bool) {
	select {
	case s.places <- struct{}{}:
		return func() { <-s.places }, true
	default:
		return nil, false
	}
}

func busy() *fault {
	return &fault{
		Status:  http.StatusServiceUnavailable,
		Message: "Too many questions at once.",
		Hint:    "Try again in a second.",
	}
}

// admit checks everything that can be known before the body is read.
func (sc scenario) admit(w http.ResponseWriter, r *http.Request) (*call, *fault) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // a bad type is not in the list
	if !slices.Contains(sc.types, media) {
		return nil, &fault{
			Status:  http.StatusUnsupportedMediaType,
			Message: "This kind of content cannot be scored here.",
			Hint:    "Send one of: " + strings.Join(sc.types, ", ") + ".",
		}
	}
	if r.ContentLength > int64(sc.limit) {
		f := tooLarge(sc.limit)

		return nil, &f
	}
	query, refusal := topK(r)
	if refusal != nil {
		return nil, refusal
	}

	return &call{
		verb:        http.MethodPost,
		path:        "v1/models/" + sc.model + ":predict",
		query:       query,
		contentType: r.Header.Get("Content-Type"),
		length:      r.ContentLength,
		body:        &replay{src: http.MaxBytesReader(w, r.Body, int64(sc.limit))},
		requestID:   requestID(r.Context()),
		traceparent: r.Header.Get("Traceparent"),
	}, nil
}

// topK is the one parameter that is passed on, and only as a sane number.
func topK(r *http.Request) (url.Values, *fault) {
	value := r.URL.Query().Get("top_k")
	if value == "" {
		return nil, nil
	}
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > maxTopK {
		return nil, &fault{
			Status:  http.StatusBadRequest,
			Message: fmt.Sprintf("top_k must be a number from 1 to %d.", maxTopK),
		}
	}

	return url.Values{"top_k": {value}}, nil
}

func (s *Server) forward(w http.ResponseWriter, r *http.Request, in *call) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Timeout)
	defer cancel()

	resp, err := s.onda.invoke(ctx, in)
	if err != nil {
		s.fail(w, r, fromError(&s.cfg, err))

		return
	}
	defer func() { _ = resp.Body.Close() }()

	if f := fromSidecar(&s.cfg, resp); f != nil {
		s.fail(w, r, f)

		return
	}
	relay(w, r, resp)
}

// fail logs what happened and tells the person what to do. The two differ: the
// log gets the cause, the person does not.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, f *fault) {
	zerolog.Ctx(r.Context()).Warn().Err(f.cause).Int("status", f.Status).Msg(f.Message)
	f.write(w)
}

func relay(w http.ResponseWriter, r *http.Request, resp *http.Response) {
	for _, key := range passed {
		if values := resp.Header.Values(key); len(values) > 0 {
			w.Header()[key] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		// The status is out; the page finds the answer incomplete and says so.
		zerolog.Ctx(r.Context()).Warn().Err(err).Msg("answer cut short")
	}
}
