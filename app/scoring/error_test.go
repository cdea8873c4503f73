package scoring_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	internalText = "internal error: the request was not answered; the server's log has the details"
	expiredText  = "the request's time budget was spent before there was an answer"
	canceledText = "the caller closed the request before there was an answer"
)

func TestAsError(t *testing.T) {
	t.Parallel()
	notFound := scoring.Errorf(scoring.NotFound, "model %q is unknown", "m")
	var typedNil *scoring.Error
	tests := []struct {
		name    string
		err     error
		code    scoring.Code
		message string
	}{
		{"itself", notFound, scoring.NotFound, `model "m" is unknown`},
		{"wrapped", fmt.Errorf("lease m: %w", notFound), scoring.NotFound, `model "m" is unknown`},
		{"joined", errors.Join(io.EOF, notFound), scoring.NotFound, `model "m" is unknown`},
		{"deadline", context.DeadlineExceeded, scoring.Expired, expiredText},
		{"wrapped deadline", fmt.Errorf("run: %w", context.DeadlineExceeded), scoring.Expired, expiredText},
		{"cancel", context.Canceled, scoring.Canceled, canceledText},
		{"wrapped cancel", fmt.Errorf("run: %w", context.Canceled), scoring.Canceled, canceledText},
		// The part that failed knows better than the context that ended because of it.
		{"error caused by a deadline", scoring.Errorf(scoring.Unavailable, "loading").WithCause(context.DeadlineExceeded), scoring.Unavailable, "loading"},
		{"any other", errors.New("/secret/path: permission denied"), scoring.Internal, internalText},
		{"nil *Error", typedNil, scoring.Internal, internalText},
		{"wrapped nil *Error", fmt.Errorf("run: %w", error(typedNil)), scoring.Internal, internalText},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := scoring.AsError(test.err)
			if got == nil || got.Code != test.code || got.Message != test.message {
				t.Errorf("got %v, want %s: %s", got, test.code, test.message)
			}
			if code := scoring.CodeOf(test.err); code != test.code {
				t.Errorf("CodeOf: got %s, want %s", code, test.code)
			}
		})
	}
}

func TestAsErrorOfNil(t *testing.T) {
	t.Parallel()
	if got := scoring.AsError(nil); got != nil {
		t.Errorf("AsError(nil): got %v, want nil", got)
	}
	if got := scoring.CodeOf(nil); got != 0 {
		t.Errorf("CodeOf(nil): got %d, want 0", got)
	}
}

func TestAsErrorKeepsTheCause(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded} {
		if err := scoring.AsError(fmt.Errorf("read: %w", cause)); !errors.Is(err, cause) {
			t.Errorf("got %v, want %v in its chain", err, cause)
		}
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  *scoring.Error
		want string
	}{
		{"plain", scoring.Errorf(scoring.Invalid, "top_k is %d", 0), "Invalid: top_k is 0"},
		{"with cause", scoring.Errorf(scoring.Internal, "broken").WithCause(io.EOF), "Internal: broken: EOF"},
		{"verbs are not wrapped", scoring.Errorf(scoring.Invalid, "%v", io.EOF), "Invalid: EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.err.Error(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestWithRetryAfter(t *testing.T) {
	t.Parallel()
	err := scoring.Errorf(scoring.Overloaded, "full").WithRetryAfter(3 * time.Second)
	if got := scoring.AsError(fmt.Errorf("enter: %w", err)).RetryAfter; got != 3*time.Second {
		t.Errorf("got %s, want 3s", got)
	}
}
