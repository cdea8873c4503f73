package gcs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

const (
	// maxAnswerBytes bounds a document in JSON. The longest is a page of a list: 1,000 names of
	// 1,024 bytes, each of which may be written as \u0000.
	maxAnswerBytes = 8 << 20
	// maxErrorBytes bounds what is read of an answer that is an error.
	maxErrorBytes = 64 << 10
	// maxMessageBytes bounds what is kept of it.
	maxMessageBytes = 300
)

var errTooLong = fmt.Errorf("the answer is longer than %d bytes: it is none of Google Cloud Storage", maxAnswerBytes)

// request is one that can be sent again and again.
type request struct {
	method string
	url    string
	header map[string]string
	body   []byte
	// bare is without a token: the URL itself holds the right, and comes from an answer.
	bare bool
}

// send sends it once. The answer has one of the statuses that are wanted, and its body must be
// closed; the error is an [*Error], or one of the connection.
func (c *Client) send(ctx context.Context, r request, want ...int) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, errors.New("the name of the bucket or the object makes no URL")
	}
	for name, value := range r.header {
		request.Header.Set(name, value)
	}
	if c.tokens != nil && !r.bare {
		token, err := c.tokens.get(ctx)
		if err != nil {
			return nil, err
		}
		token.SetAuthHeader(request)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, lost(err)
	}
	if slices.Contains(want, answer.StatusCode) {
		return answer, nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxErrorBytes)) // what there is of it helps
	return nil, &Error{Status: answer.StatusCode, Message: message(text)}
}

// document gives the JSON that is answered to a request.
func (c *Client) document(ctx context.Context, r request) ([]byte, error) {
	var text []byte
	err := c.retry(ctx, func() error {
		answer, err := c.send(ctx, r, http.StatusOK)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes+1))
		if err != nil {
			return lost(err)
		}
		return nil
	})
	if err == nil && len(text) > maxAnswerBytes {
		err = errTooLong
	}
	return text, err
}

// message is what an answer says about an error: a field of the JSON, or the text itself, which
// is what downloads are answered with.
func message(text []byte) string {
	var answer struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &answer) == nil && answer.Error.Message != "" {
		return shorten(answer.Error.Message)
	}
	return shorten(string(text))
}

// shorten makes one line of a text of others.
func shorten(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(text) > maxMessageBytes {
		text = strings.ToValidUTF8(text[:maxMessageBytes], "") + "..."
	}
	return text
}
