package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
)

// Error is an answer that says no.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Message says what was wrong, in the server's words.
	Message string
	// Yours and Current are set where the model changed in the meantime: what the change was
	// decided on, and what is there now.
	Yours *State
	// Current is what is there now.
	Current *State
}

// State is a model's state at a revision.
type State struct {
	// Revision of the document.
	Revision int64 `json:"revision"`

	catalog.State
}

// Error gives the server's words.
func (e *Error) Error() string { return e.Message }

// UnreachableError says that nobody answered: nothing was sent.
type UnreachableError struct {
	// Server that was asked.
	Server string
	// Err says why.
	Err error
}

// Error names the server and the reason.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no Onda answers at %s: %v", e.Server, e.Err)
}

// Unwrap gives the reason.
func (e *UnreachableError) Unwrap() error { return e.Err }

// LostError says that a request was sent, and that there was no answer: what it asked for may
// have been done.
type LostError struct {
	// Server that was asked.
	Server string
	// After is how long the answer was waited for; 0 if the connection broke.
	After time.Duration
	// Err says why.
	Err error
}

// Error names the server and the reason.
func (e *LostError) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("no answer from %s within %s", e.Server, e.After)
	}
	return fmt.Sprintf("the connection to %s broke: %v", e.Server, e.Err)
}

// Unwrap gives the reason.
func (e *LostError) Unwrap() error { return e.Err }

// StrangerError says that somebody answered who is not Onda.
type StrangerError struct {
	// Server that was asked.
	Server string
	// Answer is what came, in a few words.
	Answer string
}

// Error names the server and what it answered.
func (e *StrangerError) Error() string {
	return fmt.Sprintf("what answers at %s is not Onda: %s", e.Server, e.Answer)
}

// SidecarError says that a sidecar answered which was not told for whom the request is.
type SidecarError struct {
	// Server that was asked.
	Server string
	// Through is the address of Onda behind that sidecar, if its app id is the usual one.
	Through string
}

// Error names the server.
func (e *SidecarError) Error() string {
	return fmt.Sprintf("what answers at %s is a Dapr sidecar, and not Onda behind it", e.Server)
}

// invoke is the path of a sidecar below which it hands requests on.
const invoke = "/v1.0/invoke/"

// failed makes an error of one that the transport gave. The caller's own context is passed
// on as it ended.
func (c *Client) failed(ctx context.Context, err error) error {
	var dial *net.OpError
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		return &LostError{Server: c.Server(), After: c.options.Timeout, Err: context.DeadlineExceeded}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &dial) && dial.Op == "dial", isHandshake(err):
		return &UnreachableError{Server: c.Server(), Err: reason(err)}
	default:
		return &LostError{Server: c.Server(), Err: reason(err)}
	}
}

// isHandshake says whether the two sides did not agree on how to talk: nothing was asked yet.
func isHandshake(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch)
}

// reason takes off what only repeats the address: of `Get "http://a": dial tcp a: connect:
// connection refused` it leaves "connection refused".
func reason(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// refusal reads the body of an answer that is no success. Sidecars have a form of their own,
// and other servers none.
func (c *Client) refusal(status int, location string, body []byte) error {
	var answer struct {
		Error   string `json:"error"`
		Yours   *State `json:"yours"`
		Current *State `json:"current"`
		// What a sidecar says.
		ErrorCode string `json:"errorCode"`
		Message   string `json:"message"`
	}
	err := json.Unmarshal(body, &answer)
	switch {
	case err == nil && answer.Error != "":
		return &Error{Status: status, Message: answer.Error, Yours: answer.Yours, Current: answer.Current}
	case err == nil && answer.ErrorCode != "" && status < http.StatusInternalServerError && !strings.Contains(c.base.Path, invoke):
		through := *c.base
		through.Path = strings.TrimRight(through.Path, "/") + invoke + "onda/method"
		return &SidecarError{Server: c.Server(), Through: through.Redacted()}
	case err == nil && answer.ErrorCode != "":
		return &Error{Status: status, Message: fmt.Sprintf("the sidecar at %s: %s: %s", c.Server(), answer.ErrorCode, answer.Message)}
	case location != "":
		return &StrangerError{Server: c.Server(), Answer: fmt.Sprintf("%s, redirects to %s", describe(status), location)}
	default:
		return &StrangerError{Server: c.Server(), Answer: describe(status)}
	}
}

// describe gives a status in words.
func describe(status int) string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", status, http.StatusText(status)))
}
