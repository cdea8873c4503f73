package eventsapi

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// defaultLimit is how many letters a page has whose request does not say.
const defaultLimit = 100

// list answers GET /events/v1/deadletters.
func (h *Handler) list(w http.ResponseWriter, r *http.Request) error {
	filter, limit, cursor, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
	defer cancel()
	page, err := h.service.List(ctx, filter, limit, cursor)
	if err != nil {
		return err
	}
	h.door.Answer(w, http.StatusOK, page)
	return nil
}

// parseQuery reads what a list is to have.
func parseQuery(raw string) (f deadletters.Filter, limit int, cursor string, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return f, 0, "", scoring.Errorf(scoring.Invalid, "the query cannot be read: %s", operator.Clip(err.Error()))
	}
	limit = defaultLimit
	state := ""
	texts := map[string]*string{"code": &f.Code, "model": &f.Model, "state": &state, "source": &f.Source, "cursor": &cursor}
	times := map[string]*time.Time{"since": &f.Since, "until": &f.Until}
	known := slices.Sorted(maps.Keys(texts))
	known = append(known, "limit", "since", "until")
	for name, values := range query {
		if len(values) > 1 {
			return f, 0, "", scoring.Errorf(scoring.Invalid, "%q is there twice: want it once", operator.Clip(name))
		}
		switch {
		case texts[name] != nil:
			*texts[name] = values[0]
		case times[name] != nil:
			if *times[name], err = time.Parse(time.RFC3339Nano, values[0]); err != nil {
				return f, 0, "", scoring.Errorf(scoring.Invalid, "%s is %q: want a time such as 2026-01-31T12:00:00Z", name, operator.Clip(values[0]))
			}
		case name == "limit":
			if limit, err = strconv.Atoi(values[0]); err != nil {
				return f, 0, "", scoring.Errorf(scoring.Invalid, "limit is %q: want a whole number, 1 to %d", operator.Clip(values[0]), deadletters.MaxLimit)
			}
		default:
			return f, 0, "", scoring.Errorf(scoring.Invalid, "unknown parameter %q: want %s", operator.Clip(name), strings.Join(known, ", "))
		}
	}
	f.State = deadletters.State(state)
	return f, limit, cursor, nil
}

// show answers GET /events/v1/deadletters/{id}.
func (h *Handler) show(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
	defer cancel()
	letter, err := h.service.Get(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	h.door.Answer(w, http.StatusOK, letter)
	return nil
}

// replay answers POST /events/v1/deadletters/{id}/replay.
func (h *Handler) replay(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Again bool `json:"again"`
	}
	if err := h.ask(w, r, &body); err != nil {
		return err
	}
	// A caller who hangs up must not leave a letter half put back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.config.Timeout)
	defer cancel()
	result, err := h.service.Replay(ctx, r.PathValue("id"), body.Again, operator.Actor(r))
	if err != nil {
		return err
	}
	h.door.Answer(w, http.StatusOK, result)
	return nil
}

// many asks for the letters that a filter takes.
type many struct {
	deadletters.Filter

	// All must be set where the filter is empty: nobody puts everything back by mistake.
	All bool `json:"all"`
	// Again takes those that were put back before, too.
	Again bool `json:"again"`
}

// total is the last line of a stream.
type total struct {
	Done bool `json:"done"`
	deadletters.Counts

	// Error says why it ended early, and Status is the one that an answer would have.
	Error  string `json:"error,omitempty"`
	Status int    `json:"status,omitempty"`
}

// replayAll answers POST /events/v1/deadletters/replay with a line for each letter, and one
// with the counts. It ends where the caller leaves: what is left can be put back later.
func (h *Handler) replayAll(w http.ResponseWriter, r *http.Request) error {
	var body many
	if err := h.ask(w, r, &body); err != nil {
		return err
	}
	if err := body.Check(); err != nil {
		return err
	}
	if body.Empty() != body.All {
		return scoring.Errorf(scoring.Invalid, `want a filter, such as {"code": "Unavailable"}, or {"all": true} without one`)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the server's own bound is for answers
	out := operator.NewLines(w)
	counts, err := h.service.ReplayAll(r.Context(), body.Filter, body.Again, operator.Actor(r), func(result deadletters.Result) { out.Write(result) })
	last := total{Done: err == nil, Counts: counts}
	if err != nil {
		e := scoring.AsError(err)
		last.Error, last.Status = e.Message, e.Code.HTTPStatus()
		h.door.Log.Warn().Err(err).Msg("not all dead letters were put back")
	}
	out.Write(last)
	return nil
}

// deliver takes one delivery from Dapr. The answer's code is always 200: Dapr reads the
// outcome from the body, and drops an event for some codes without a word.
func (h *Handler) deliver(w http.ResponseWriter, r *http.Request) error {
	body, size, sum, err := h.delivery(w, r)
	var status string
	switch {
	case err != nil:
		operator.Abandon(w, r)
		status = h.service.Refuse(err)
	case size > h.config.MaxLetter:
		status = h.service.DeliverOversized(r.Context(), size, h.config.MaxLetter, sum)
	default:
		status = h.service.Deliver(r.Context(), body)
	}
	h.door.Answer(w, http.StatusOK, map[string]string{"status": status})
	return nil
}
