package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/deadletters"
)

// Letters lists at most so many dead letters, the newest first. cursor is that of the page
// before; empty for the first one.
func (c *Client) Letters(ctx context.Context, f deadletters.Filter, limit int, cursor string) (*deadletters.Page, []byte, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	for name, value := range map[string]string{"code": f.Code, "model": f.Model, "state": string(f.State), "source": f.Source, "cursor": cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			query.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	return get[deadletters.Page](ctx, c, call{path: deadLetters(), query: query})
}

// Letter gives a dead letter with its event.
func (c *Client) Letter(ctx context.Context, id string) (*deadletters.Letter, []byte, error) {
	return get[deadletters.Letter](ctx, c, call{path: deadLetters(id)})
}

// Replay puts a dead letter back; again does it for one that was put back before, too.
func (c *Client) Replay(ctx context.Context, id string, again bool) (deadletters.Result, error) {
	var result deadletters.Result
	_, err := c.do(ctx, call{method: http.MethodPost, path: deadLetters(id, "replay"), body: map[string]any{"again": again}}, &result)
	return result, err
}

// Replays are the dead letters that are to be put back.
type Replays struct {
	deadletters.Filter

	// All must be set where the filter is empty.
	All bool `json:"all,omitempty"`
	// Again takes those that were put back before, too.
	Again bool `json:"again,omitempty"`
}

// replayed is a line of a stream: the result of a letter, or at the end the counts.
type replayed struct {
	deadletters.Result
	deadletters.Counts

	Done   bool   `json:"done"`
	Status int    `json:"status"`
	Error  string `json:"error"`
}

// ReplayAll puts dead letters back, and tells of each from the goroutine of the call. The error
// of the whole comes with the counts up to it, where the server had time to give them.
func (c *Client) ReplayAll(ctx context.Context, r Replays, tell func(deadletters.Result)) (counts deadletters.Counts, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	body, err := fields(r)
	if err != nil {
		return counts, err
	}
	resp, err := c.send(ctx, call{method: http.MethodPost, path: deadLetters("replay"), body: body})
	if err != nil {
		return counts, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		_, err := c.read(ctx, resp)
		return counts, err
	}
	err = c.lines(ctx, resp.Body, func(text []byte) (last bool, err error) {
		var l replayed
		if err := json.Unmarshal(text, &l); err != nil {
			return true, &StrangerError{Server: c.Server(), Answer: "it sent a line that is no JSON"}
		}
		switch {
		case l.ID != "":
			l.Result.Error = l.Error
			tell(l.Result)
			return false, nil
		case l.Error != "":
			counts, err = l.Counts, &Error{Status: l.Status, Message: l.Error}
		case l.Done:
			counts = l.Counts
		default:
			return false, nil
		}
		return true, err
	})
	return counts, err
}
