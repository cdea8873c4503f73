package gcs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tries is how often something is asked for in a row. With the pauses in between it stays below
// the half minute for which package diskcache waits for the next byte.
const tries = 5

// Error is an answer of Google's that is none of success.
type Error struct {
	// Status is that of HTTP. It is 401 where no token was given for the credentials.
	Status int
	// Message is what Google said about it, shortened.
	Message string
}

// Error says what was answered.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("Google answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("Google answered %d %s: %s", e.Status, http.StatusText(e.Status), e.Message)
}

// NoBucket tells a bucket that is not there from an object in it: Google says so in words alone.
func (e *Error) NoBucket() bool {
	return e.Status == http.StatusNotFound && strings.Contains(e.Message, "bucket does not exist")
}

// transient says whether another try can help.
func (e *Error) transient() bool {
	return e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests || e.Status >= 500
}

// broken is what happened to a connection.
type broken struct{ err error }

func (b broken) Error() string { return b.err.Error() }
func (b broken) Unwrap() error { return b.err }

// lost makes an error of the connection of what the HTTP client gave, without the URL, which
// can hold the right to an upload.
func lost(err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	return broken{err}
}

// transient says whether another try can help against an error.
func transient(err error) bool {
	if answer, ok := errors.AsType[*Error](err); ok {
		return answer.transient()
	}
	if _, ok := errors.AsType[broken](err); !ok {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	name, ok := errors.AsType[*net.DNSError](err)
	return !ok || !name.IsNotFound
}

// backoff counts tries in a row and waits between them.
type backoff struct {
	first time.Duration
	done  int
}

// pause waits before the next try. It gives err back where another one does not help, or was
// the last; and where ctx ends in the meantime, both.
func (b *backoff) pause(ctx context.Context, err error) error {
	// Asked of ctx, and not of err: a connection's own time limit says the same.
	if b.done++; b.done >= tries || ctx.Err() != nil || !transient(err) {
		return err
	}
	wait := b.first << (b.done - 1)
	wait -= rand.N(wait/2 + 1) //nolint:gosec // chance that keeps clients apart, and no secret
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), err)
	case <-timer.C:
		return nil
	}
}

// retry does something until it succeeds, or another try does not help.
func (c *Client) retry(ctx context.Context, try func() error) error {
	for b := (backoff{first: c.first}); ; {
		err := try()
		if err == nil {
			return nil
		}
		if err := b.pause(ctx, err); err != nil {
			return err
		}
	}
}
