package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// attempts is how often a file is sent at most.
const attempts = 4

// Blob is a file to upload.
type Blob struct {
	// SHA256 of the content, in hexadecimal digits.
	SHA256 string
	// Size in bytes.
	Size int64
	// Open reads the content from its start. It is called once for each attempt.
	Open func() (io.ReadCloser, error)
	// Sent is told how much of the content was sent in this attempt, from another goroutine
	// than the caller's; nil for nobody.
	Sent func(bytes int64)
	// Again is told why the file is sent once more; nil for nobody.
	Again func(err error)
}

// HasBlob says whether the server has the content with this SHA-256.
func (c *Client) HasBlob(ctx context.Context, sum string) (bool, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.address(nil, registry("blobs", sum)...), http.NoBody)
	if err != nil {
		return false, fmt.Errorf("make request: %w", err)
	}
	c.sign(req)
	resp, err := c.http.Do(req)
	if err != nil {
		return false, c.failed(ctx, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusNotFound:
		return false, nil
	default:
		// An answer to HEAD has no body to say more.
		return false, &Error{Status: resp.StatusCode, Message: "ask for blob " + sum + ": " + describe(resp.StatusCode)}
	}
}

// Upload sends a blob. Whatever breaks is tried again from the start of the file, a few times
// and with growing pauses: the server keeps whole files only.
func (c *Client) Upload(ctx context.Context, b Blob) error {
	pause := c.pause
	for attempt := 1; ; attempt++ {
		err := c.put(ctx, b)
		if err == nil || attempt == attempts || !transient(err) || ctx.Err() != nil {
			return err
		}
		if b.Again != nil {
			b.Again(err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause *= 2
		// It may have arrived, and only the answer was lost.
		if has, err := c.HasBlob(ctx, b.SHA256); err == nil && has {
			return nil
		}
	}
}

// put sends a blob once.
func (c *Client) put(ctx context.Context, b Blob) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	content, err := b.Open()
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	body := &counted{content: content, sent: b.Sent}
	// The transport closes it too, yet not if the request fails before it is sent.
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.address(nil, registry("blobs", b.SHA256)...), body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	c.sign(req)
	req.ContentLength = b.Size
	if b.Size == 0 {
		req.Body = http.NoBody // a length of 0 with a body means one that is not known
	}
	req.Header.Set("content-type", "application/octet-stream")
	req.Header.Set("expect", "100-continue")
	resp, err := c.http.Do(req)
	if err != nil {
		if err := body.failed(); err != nil {
			return fmt.Errorf("read file: %w", err)
		}
		return c.failed(ctx, err)
	}
	defer resp.Body.Close()
	_, err = c.read(ctx, resp)
	return err
}

// transient says whether the same upload can succeed later.
func transient(err error) bool {
	if no, ok := errors.AsType[*Error](err); ok {
		switch no.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests:
			return true
		case http.StatusNotImplemented, http.StatusInsufficientStorage: // there is no store, or it takes nothing
			return false
		default:
			return no.Status >= http.StatusInternalServerError
		}
	}
	if lost, ok := errors.AsType[*LostError](err); ok {
		return lost.After == 0 // what took too long once takes too long again
	}
	_, unreachable := errors.AsType[*UnreachableError](err)
	return unreachable
}

// counted tells how much was read of a file. The transport can read on after it gave its
// answer; nothing is told once the content is closed.
type counted struct {
	sent func(int64)

	mu      sync.Mutex
	content io.ReadCloser
	closed  bool
	bytes   int64
	err     error // of the file
}

// Read reads on.
func (c *counted) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := c.content.Read(p)
	c.bytes += int64(n)
	if c.sent != nil && n > 0 {
		c.sent(c.bytes)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// Close closes the file; again does nothing.
func (c *counted) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	return c.content.Close()
}

// failed gives the error of the file, if it was the file that failed.
func (c *counted) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fields gives a struct as the fields of its JSON.
func fields(v any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	all := map[string]any{}
	err = json.Unmarshal(data, &all)
	return all, err
}
