package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
)

// statusClientGone is what the log shows for a caller that left before the
// answer; the number is nginx's. It is never sent: nobody is there.
const statusClientGone = 499

// maxFaultBody bounds how much of an error answer is read to find out whose it
// is. Those of Dapr are a line.
const maxFaultBody = 64 << 10

// fault is a failure told to a person: what is wrong, and what to do about it.
// The cause is for the log only.
type fault struct {
	Status  int    `json:"-"`
	Message string `json:"error"`
	Hint    string `json:"hint,omitempty"`
	cause   error
}

// write answers the request with f, in the form of Onda's own errors.
func (f *fault) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f) // fails only if the caller has left
}

// phrases are how Dapr 1.18 words the failures that a person can do something
// about. Dapr has one error code, ERR_DIRECT_INVOKE, for all of them, so the
// text is all there is to tell them apart. The first match counts.
var phrases = []struct {
	text  string
	fault func(*Config) fault
}{
	{"app is not in a healthy state", unhealthy},
	{"app channel is not initialized", unhealthy},
	{"couldn't find service", absent},
	{"resolver returned empty address", absent},
	{"no such host", absent},
	{"connection refused", absent},
	{"Unavailable", absent},
	{"circuit breaker is open", resting},
	{"stream too large", sidecarLimit},
	{"context deadline exceeded", late},
	{"PermissionDenied", forbidden},
	{"invalid api token", badToken},
}

func absent(c *Config) fault {
	return fault{
		Status:  http.StatusServiceUnavailable,
		Message: "Onda is not running, or has not been found yet.",
		Hint:    fmt.Sprintf("Start the Dapr app with id %q and try again in a few seconds.", c.OndaAppID),
	}
}

func unhealthy(*Config) fault {
	return fault{
		Status:  http.StatusServiceUnavailable,
		Message: "Onda is running but not able to answer yet.",
		Hint:    "It may still be loading its models. Try again in a few seconds.",
	}
}

func resting(*Config) fault {
	return fault{
		Status:  http.StatusServiceUnavailable,
		Message: "Onda failed several times in a row, so the sidecar is holding calls back.",
		Hint:    "Wait a few seconds and try again. Onda's log says what failed.",
	}
}

func sidecarLimit(c *Config) fault {
	return fault{
		Status:  http.StatusRequestEntityTooLarge,
		Message: "This is larger than the sidecar lets through.",
		Hint: "Choose a smaller picture, or start the portal's sidecar with --max-body-size " +
			strings.TrimSuffix(c.MaxBody.String(), "B") + ".", // Dapr writes 16Mi
	}
}

func late(c *Config) fault {
	return fault{
		Status:  http.StatusGatewayTimeout,
		Message: fmt.Sprintf("Onda did not answer within %v.", c.Timeout),
		Hint:    "Try again. If it stays slow, Onda may be short of processor time.",
	}
}

func silent(c *Config) fault {
	return fault{
		Status:  http.StatusServiceUnavailable,
		Message: "Onda does not answer.",
		Hint:    fmt.Sprintf("See whether the Dapr app with id %q is running.", c.OndaAppID),
	}
}

func forbidden(c *Config) fault {
	return fault{
		Status:  http.StatusBadGateway,
		Message: "The portal is not allowed to call Onda.",
		Hint:    fmt.Sprintf("Allow this app in the access policy of the Dapr app %q.", c.OndaAppID),
	}
}

func badToken(*Config) fault {
	return fault{
		Status:  http.StatusBadGateway,
		Message: "The sidecar did not accept the portal's API token.",
		Hint:    "Give the portal and its sidecar the same DAPR_API_TOKEN.",
	}
}

func undelivered(*Config) fault {
	return fault{
		Status:  http.StatusBadGateway,
		Message: "The sidecar could not deliver the call to Onda.",
		Hint:    "The log of the portal's sidecar says why.",
	}
}

// fromSidecar tells an error of the sidecar from an answer of Onda. For the
// former it returns the fault to show; for the latter nil, and resp.Body still
// yields the whole answer.
func fromSidecar(cfg *Config, resp *http.Response) *fault {
	if resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, maxFaultBody))
	if err != nil {
		f := undelivered(cfg)
		f.cause = fmt.Errorf("read error answer: %w", err)

		return &f
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}

	text, ok := daprMessage(resp, head)
	if !ok {
		return nil
	}
	f := classify(cfg, text)
	f.cause = fmt.Errorf("sidecar answered %d: %s", resp.StatusCode, text) //nolint:err113 // the text is Dapr's

	return &f
}

// daprMessage returns the text of an error that Dapr itself raised. Onda's own
// errors have no errorCode.
func daprMessage(resp *http.Response, body []byte) (string, bool) {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // a bad type is just not JSON
	if media != "application/json" {
		text := strings.TrimSpace(string(body))

		return text, text == "invalid api token" // Dapr's only plain one
	}
	var answer struct {
		ErrorCode string `json:"errorCode"`
		Message   string `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.ErrorCode == "" {
		return "", false
	}

	return answer.Message, true
}

func classify(cfg *Config, text string) fault {
	for _, p := range phrases {
		if strings.Contains(text, p.text) {
			return p.fault(cfg)
		}
	}

	return undelivered(cfg)
}

// fromError explains why no answer came at all.
func fromError(cfg *Config, err error) *fault {
	f := fault{
		Status:  http.StatusBadGateway,
		Message: "The connection to the portal's sidecar broke.",
		Hint:    "Try again. If it goes on, look at the log of the portal's sidecar.",
	}
	var (
		dial *net.OpError
		over *http.MaxBytesError
	)
	switch {
	case errors.As(err, &over):
		f = tooLarge(ByteSize(over.Limit))
	case errors.Is(err, context.Canceled):
		f = fault{Status: statusClientGone, Message: "The caller left."}
	case errors.Is(err, context.DeadlineExceeded):
		f = late(cfg)
	case errors.As(err, &dial) && dial.Op == "dial":
		f.Message = "The portal's sidecar is not running."
		f.Hint = fmt.Sprintf("Start the portal with Dapr (dapr run -f dapr.yaml). It was looked for at %s.", cfg.Sidecar)
	}
	f.cause = err

	return &f
}

func tooLarge(limit ByteSize) fault {
	return fault{
		Status:  http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("This is too large: at most %s can be sent.", spoken(limit)),
		Hint:    "Send something smaller.",
	}
}
