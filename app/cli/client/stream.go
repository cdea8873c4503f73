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
func (c *Client) stream(ctx context.Context, body io.Reader, progress func(Progress)) ([]byte, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, &StrangerError{Server: c.Server(), Answer: "it sent a line of progress that is no JSON"}
		}
		switch {
		case l.Error != "":
			if l.Status == 0 {
				l.Status = http.StatusInternalServerError
			}
			return nil, c.refusal(l.Status, "", text)
		case len(l.Result) > 0:
			return bytes.Clone(l.Result), nil
		case l.Progress != nil && progress != nil:
			progress(*l.Progress)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, c.failed(ctx, err)
	}
	return nil, c.failed(ctx, errCut)
}
