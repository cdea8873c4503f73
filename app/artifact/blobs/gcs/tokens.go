package gcs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// scope is the right to all that the identity may do, which is what Google recommends: the roles
// of the identity say what that is. Federated identities need it to become a service account.
const scope = "https://www.googleapis.com/auth/cloud-platform"

// fetching bounds how long a server may take to give a token.
const fetching = 30 * time.Second

// noToken begins what is said where there is none.
const noToken = "no token for the credentials"

// tokens gives what is shown to the storage, and fetches new ones in time.
type tokens struct{ source oauth2.TokenSource }

// defaultTokens looks for the application default credentials: a file of a service account, a
// user, or a federated identity; or the metadata server of the machine or the pod.
func defaultTokens(ctx context.Context, transport http.RoundTripper) (*tokens, error) {
	seen := &witness{transport: transport}
	// They fetch tokens for as long as the bucket is open, and not only now.
	ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Transport: seen, Timeout: fetching})
	found, err := google.FindDefaultCredentials(ctx, scope)
	if err != nil {
		return nil, err
	}
	return &tokens{source: oauth2.ReuseTokenSource(nil, observed{found.TokenSource, seen})}, nil
}

// get gives a token. The library does not take a context, hence the goroutine: it ends within
// the time that fetching allows, and what it fetched is there for the next caller.
func (t *tokens) get(ctx context.Context) (*oauth2.Token, error) {
	type result struct {
		token *oauth2.Token
		err   error
	}
	fetched := make(chan result, 1)
	go func() {
		token, err := t.source.Token()
		fetched <- result{token, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-fetched:
		return r.token, r.err
	}
}

// observed is a source whose errors are ours. It fetches one token at a time: see
// [oauth2.ReuseTokenSource].
type observed struct {
	source oauth2.TokenSource
	seen   *witness
}

// Token fetches one. What the library says where it fails holds the whole answer, which can be
// or repeat a secret, and neither status nor kind of the error: both come of the witness.
func (o observed) Token() (*oauth2.Token, error) {
	o.seen.set(nil)
	token, err := o.source.Token()
	if err == nil {
		return token, nil
	}
	if cause := o.seen.get(); cause != nil {
		return nil, cause
	}
	// The metadata server, which the library asks by itself, and with tries of its own.
	if answer, ok := errors.AsType[*metadata.Error](err); ok {
		return nil, refusal(answer.Code, answer.Message)
	}
	if lost, ok := errors.AsType[*url.Error](err); ok {
		return nil, broken{fmt.Errorf("%s: %w", noToken, lost.Err)}
	}
	return nil, fmt.Errorf("%s: %w", noToken, err)
}

// witness is a transport that remembers what went wrong last.
type witness struct {
	transport http.RoundTripper

	mu  sync.Mutex
	err error
}

func (w *witness) set(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *witness) get() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// RoundTrip implements [http.RoundTripper].
func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.transport.RoundTrip(r)
	if err != nil {
		w.set(broken{fmt.Errorf("%s: %s: %w", noToken, r.URL.Host, err)})
		return nil, err
	}
	if answer.StatusCode < http.StatusBadRequest {
		return answer, nil
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxErrorBytes)) // what there is of it helps
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(text))
	w.set(refusal(answer.StatusCode, reason(text)))
	return answer, nil
}

// refusal is the error of who gives no token. Unless it passes its status is 401, and not that
// of the answer: 404, say, is none about an object.
func refusal(status int, why string) *Error {
	e := &Error{Status: status, Message: shorten(noToken + ": " + why)}
	if !e.transient() {
		e.Status = http.StatusUnauthorized
	}
	return e
}

// reason is why there is no token, as OAuth 2.0 or Google's own services put it, and nothing
// else of the answer.
func reason(text []byte) string {
	var answer struct {
		Error       any    `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "no reason was given"
	}
	switch e := answer.Error.(type) {
	case string:
		return e + " " + answer.Description
	case map[string]any:
		return fmt.Sprint(e["message"])
	default:
		return "no reason was given"
	}
}
