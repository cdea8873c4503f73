package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// errCut is why an answer that ends too early is none.
var errCut = errors.New("it was closed before there was a whole answer")

// line of a stream: progress, and at the end a result or an error.
type line struct {
	Progress *Progress       `json:"progress"`
	Result   json.RawMessage `json:"result"`
	Error    string          `json:"error"`
	Status   int             `json:"status"`
}

// stream reads a streamed answer up to its result.
func (c *Client) stream(ctx context.Context, body io.Reader, progress func(Progress)) (result []byte, err error) {
	err = c.lines(ctx, body, func(text []byte) (last bool, err error) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return true, &StrangerError{Server: c.Server(), Answer: "it sent a line of progress that is no JSON"}
		}
		switch {
		case l.Error != "":
			if l.Status == 0 {
				l.Status = http.StatusInternalServerError
			}
			return true, c.refusal(l.Status, "", text)
		case len(l.Result) > 0:
			result = bytes.Clone(l.Result)
			return true, nil
		case l.Progress != nil && progress != nil:
			progress(*l.Progress)
		}
		return false, nil
	})
	return result, err
}

// lines reads an answer line by line, up to the one that is said to be the last. An answer
// without one was cut off.
func (c *Client) lines(ctx context.Context, body io.Reader, read func(text []byte) (last bool, err error)) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		if last, err := read(text); last || err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return c.failed(ctx, err)
	}
	return c.failed(ctx, errCut)
}
