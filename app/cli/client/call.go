package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Bounds of what is read, in bytes: nobody who answers can fill the memory. A dead letter is as
// large as its event.
const (
	maxAnswer = 128 << 20
	maxLine   = 16 << 20
)

const ndjson = "application/x-ndjson"

// Terms go with a change.
type Terms struct {
	// Reason goes into the history.
	Reason string
	// Accept names what the change may do although it looks like a mistake.
	Accept []string
	// Revision of the document that the change was decided on: if it is not the current one,
	// the change is refused. 0 does not ask.
	Revision int64
	// Progress is told how far a long change is, from the goroutine of the call; nil for
	// nobody.
	Progress func(Progress)
}

// Progress says how far a long change is.
type Progress struct {
	// Stage is "waiting", "fetch", "check", "load" or "compare".
	Stage string `json:"stage"`
	// Done and Total are bytes or requests; Total is 0 where nobody knows it.
	Done int64 `json:"done"`
	// Total of them.
	Total int64 `json:"total"`
}

// call is a request with a JSON answer.
type call struct {
	method string
	path   []string
	query  url.Values
	// body is nil for calls that change nothing.
	body map[string]any
	// long calls stream their progress.
	long  bool
	terms Terms
}

// do makes a call and decodes its answer into a value. raw is the answer as it came.
func (c *Client) do(ctx context.Context, call call, into any) (raw []byte, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	resp, err := c.send(ctx, call)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("content-type"))
	if kind == ndjson {
		raw, err = c.stream(ctx, resp.Body, call.terms.Progress)
	} else {
		raw, err = c.read(ctx, resp)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, &StrangerError{Server: c.Server(), Answer: "it sent " + describe(resp.StatusCode) + " and no JSON that fits"}
	}
	return raw, nil
}

// send makes a call up to the beginning of its answer.
func (c *Client) send(ctx context.Context, call call) (*http.Response, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return resp, nil
}

// request writes a call down.
func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	var body io.Reader
	if call.body != nil {
		if call.terms.Reason != "" {
			call.body["reason"] = call.terms.Reason
		}
		if len(call.terms.Accept) > 0 {
			call.body["accept"] = call.terms.Accept
		}
		data, err := json.Marshal(call.body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, call.method, c.address(call.query, call.path...), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	c.sign(req)
	if body != nil {
		req.Header.Set("content-type", "application/json")
	}
	if call.long {
		req.Header.Set("accept", ndjson)
	}
	if call.body != nil && c.options.Timeout > 0 {
		req.Header.Set("x-request-timeout-ms", strconv.FormatInt(budget(c.options.Timeout), 10))
	}
	if call.terms.Revision > 0 {
		req.Header.Set("if-match", `"`+strconv.FormatInt(call.terms.Revision, 10)+`"`)
	}
	return req, nil
}

// budget is how long the server may take for a change, in milliseconds: a little less than the
// client waits, so that it hears how the change ended.
func budget(timeout time.Duration) int64 {
	left := timeout - min(timeout/20, 2*time.Second)
	return min(max(left.Milliseconds(), 1), math.MaxInt32)
}

// sign says who asks.
func (c *Client) sign(req *http.Request) {
	for name, value := range map[string]string{"user-agent": c.options.Agent, "x-onda-actor": c.options.Actor} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if c.options.Token != "" {
		req.Header.Set("authorization", "Bearer "+c.options.Token)
	}
}

// read reads a JSON answer.
func (c *Client) read(ctx context.Context, resp *http.Response) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.failed(ctx, err)
	case resp.StatusCode/100 != 2:
		return nil, c.refusal(resp.StatusCode, resp.Header.Get("location"), data)
	case len(data) > maxAnswer:
		return nil, &StrangerError{Server: c.Server(), Answer: fmt.Sprintf("it sent more than %d bytes", maxAnswer)}
	default:
		return data, nil
	}
}
