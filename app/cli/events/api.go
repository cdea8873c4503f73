package events

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/deadletters"
)

// Bounds of what is read, in bytes: nobody who answers can fill the memory. A letter is as
// large as its event.
const (
	maxAnswer = 128 << 20
	maxLine   = 1 << 20
)

// connectTimeout bounds the time until a connection stands, and until it is encrypted.
const connectTimeout = 5 * time.Second

// api asks a running Onda about its dead letters: the other side of /events/v1/deadletters.
type api struct {
	base         *url.URL
	token, agent string
	timeout      time.Duration
	http         *http.Client
}

func newAPI(server, token, agent string, timeout time.Duration) (*api, error) {
	text := server
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || base.Hostname() == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("server %q: want an address such as http://127.0.0.1:8080", server)
	}
	return &api{base: base, token: token, agent: agent, timeout: timeout, http: &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout: connectTimeout,
			DisableCompression:  true, // lines are to arrive when they are written
		},
		// A letter is put back where it was asked for, or not at all.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// list gives a page of letters. raw is the answer as it came.
func (a *api) list(ctx context.Context, query url.Values) (page deadletters.Page, raw []byte, err error) {
	raw, err = a.do(ctx, http.MethodGet, query, nil, &page)
	return page, raw, err
}

// show gives a letter.
func (a *api) show(ctx context.Context, id string) (letter deadletters.Letter, raw []byte, err error) {
	raw, err = a.do(ctx, http.MethodGet, nil, nil, &letter, id)
	return letter, raw, err
}

// replay puts a letter back.
func (a *api) replay(ctx context.Context, id string, again bool) (result deadletters.Result, err error) {
	_, err = a.do(ctx, http.MethodPost, nil, map[string]bool{"again": again}, &result, id, "replay")
	return result, err
}

// replayAsk asks for the letters that a filter takes.
type replayAsk struct {
	deadletters.Filter

	All   bool `json:"all,omitempty"`
	Again bool `json:"again,omitempty"`
}

// line of a stream: the result of a letter, or at the end the counts.
type line struct {
	deadletters.Result
	deadletters.Counts

	Done   bool   `json:"done"`
	Status int    `json:"status"`
	Error  string `json:"error"`
}

// replayAll puts letters back, and tells of each. The error of the whole is given with the
// counts up to it.
func (a *api) replayAll(ctx context.Context, ask replayAsk, tell func(deadletters.Result)) (counts deadletters.Counts, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, errTimeout)
	defer cancel()
	resp, err := a.send(ctx, http.MethodPost, nil, ask, "replay")
	if err != nil {
		return counts, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		_, err := a.read(ctx, resp)
		return counts, err
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return counts, &client.StrangerError{Server: a.base.Redacted(), Answer: "it sent a line that is no JSON"}
		}
		switch {
		case l.ID != "":
			l.Result.Error = l.Error
			tell(l.Result)
		case l.Error != "":
			return l.Counts, &client.Error{Status: l.Status, Message: l.Error}
		case l.Done:
			return l.Counts, nil
		}
	}
	return counts, a.failed(ctx, firstOf(lines.Err(), io.ErrUnexpectedEOF))
}

// firstOf gives the first error that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// errTimeout is the cause of a context that the timeout ended.
var errTimeout = errors.New("the call took too long")

// do makes a call and decodes its answer into a value.
func (a *api) do(ctx context.Context, method string, query url.Values, body, into any, path ...string) (raw []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, errTimeout)
	defer cancel()
	resp, err := a.send(ctx, method, query, body, path...)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if raw, err = a.read(ctx, resp); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, a.stranger(resp.StatusCode, "and no JSON that fits")
	}
	return raw, nil
}

// send sends a request to a path below that of the letters.
func (a *api) send(ctx context.Context, method string, query url.Values, body any, path ...string) (*http.Response, error) {
	address := a.base.JoinPath(append([]string{"events", "v1", "deadletters"}, path...)...)
	address.RawQuery = query.Encode()
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, address.String(), reader)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("User-Agent", a.agent)
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return resp, nil
}

// read reads a JSON answer.
func (a *api) read(ctx context.Context, resp *http.Response) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, a.failed(ctx, err)
	case resp.StatusCode/100 != 2:
		return nil, a.refusal(resp.StatusCode, data)
	case len(data) > maxAnswer:
		return nil, a.stranger(resp.StatusCode, fmt.Sprintf("and more than %d bytes", maxAnswer))
	default:
		return data, nil
	}
}

// refusal reads the body of an answer that is no success. Sidecars have a form of their own,
// and other servers none.
func (a *api) refusal(status int, body []byte) error {
	var answer struct {
		Error     string `json:"error"`
		ErrorCode string `json:"errorCode"`
		Message   string `json:"message"`
	}
	const invoke = "/v1.0/invoke/"
	err := json.Unmarshal(body, &answer)
	switch {
	case err == nil && answer.Error != "":
		return &client.Error{Status: status, Message: answer.Error}
	case err == nil && answer.ErrorCode != "" && status < http.StatusInternalServerError && !strings.Contains(a.base.Path, invoke):
		return &client.SidecarError{Server: a.base.Redacted(), Through: a.base.JoinPath(invoke, "onda/method").Redacted()}
	case err == nil && answer.ErrorCode != "":
		return &client.Error{Status: status, Message: fmt.Sprintf("the sidecar at %s: %s: %s", a.base.Redacted(), answer.ErrorCode, answer.Message)}
	default:
		return a.stranger(status, "and no reason")
	}
}

func (a *api) stranger(status int, rest string) error {
	return &client.StrangerError{Server: a.base.Redacted(), Answer: fmt.Sprintf("status %d %s, %s", status, http.StatusText(status), rest)}
}

// failed makes an error of one that the transport gave. The caller's own context is passed on
// as it ended.
func (a *api) failed(ctx context.Context, err error) error {
	var dial *net.OpError
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		return &client.LostError{Server: a.base.Redacted(), After: a.timeout, Err: context.DeadlineExceeded}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &dial) && dial.Op == "dial":
		return &client.UnreachableError{Server: a.base.Redacted(), Err: reason(err)}
	default:
		return &client.LostError{Server: a.base.Redacted(), Err: reason(err)}
	}
}

// reason takes off what only repeats the address.
func reason(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}
