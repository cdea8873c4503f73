package grpcapi

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/onda-serving/onda/app/scoring"
)

// TestEveryCode walks the one table of errors: each code arrives as its number, with the
// public text and nothing of the cause.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	for _, code := range scoring.Codes() {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			f := open(t, func(context.Context, *scoring.InferRequest) (*scoring.InferResponse, error) {
				return nil, scoring.Errorf(code, "what was wrong: ä%%\n").WithCause(errors.New("secret"))
			})
			_, err := f.client.ModelInfer(t.Context(), floats())
			st := wantStatus(t, err, codes.Code(code.GRPCCode()), "what was wrong: ä%\n")
			if strings.Contains(st.Message(), "secret") {
				t.Errorf("the message gives the cause away: %q", st.Message())
			}
			if got, want := f.observer.heard(t), (answer{"grpc", "infer", code}); got != want {
				t.Errorf("observer heard %v, want %v", got, want)
			}
		})
	}
}

func TestErrorsOfOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		code codes.Code
	}{
		{"any error", errors.New("secret"), codes.Internal},
		{"wrapped", errors.Join(errors.New("secret"), scoring.Errorf(scoring.NotFound, "no such model")), codes.NotFound},
		{"deadline", context.DeadlineExceeded, codes.DeadlineExceeded},
		{"cancel", context.Canceled, codes.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, func(context.Context, *scoring.InferRequest) (*scoring.InferResponse, error) { return nil, c.err })
			_, err := f.client.ModelInfer(t.Context(), floats())
			if st := wantStatus(t, err, c.code); strings.Contains(st.Message(), "secret") {
				t.Errorf("the message gives the cause away: %q", st.Message())
			}
			f.observer.heard(t)
			if got, want := strings.Contains(f.log.String(), `"level":"error"`), c.code == codes.Internal; got != want {
				t.Errorf("logged as a failure of ours: %v, want %v: %s", got, want, f.log)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	f := open(t, func(context.Context, *scoring.InferRequest) (*scoring.InferResponse, error) {
		return nil, scoring.Errorf(scoring.Overloaded, "the queue is full").WithRetryAfter(1500 * time.Millisecond)
	})
	var trailer metadata.MD
	_, err := f.client.ModelInfer(t.Context(), floats(), grpc.Trailer(&trailer))
	st := wantStatus(t, err, codes.ResourceExhausted, "the queue is full")
	if got := trailer.Get("retry-after"); len(got) != 1 || got[0] != "2" {
		t.Errorf("retry-after: got %q, want 2", got)
	}
	wantRetryInfo(t, st.Details(), 1500*time.Millisecond)
}

func wantRetryInfo(t *testing.T, details []any, want time.Duration) {
	t.Helper()
	if len(details) != 1 {
		t.Fatalf("got details %v, want one", details)
	}
	if info, ok := details[0].(*errdetails.RetryInfo); !ok || info.GetRetryDelay().AsDuration() != want {
		t.Errorf("got %v, want a RetryInfo of %v", details[0], want)
	}
}

func TestStatusText(t *testing.T) {
	t.Parallel()
	long := statusOf(scoring.Errorf(scoring.Invalid, "%s", strings.Repeat("é", 5000)))
	if n := len(long.Message()); n > maxMessage+16 {
		t.Errorf("the message is %d bytes long", n)
	}
	damaged := statusOf(scoring.Errorf(scoring.Overloaded, "a\xffb").WithRetryAfter(time.Second))
	if got, want := damaged.Message(), "a\uFFFDb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	f := open(t, func(context.Context, *scoring.InferRequest) (*scoring.InferResponse, error) { panic("boom") })
	_, err := f.client.ModelInfer(t.Context(), floats())
	if st := wantStatus(t, err, codes.Internal, "internal error"); strings.Contains(st.Message(), "boom") {
		t.Errorf("the message gives the panic away: %q", st.Message())
	}
	if got, want := f.observer.heard(t), (answer{"grpc", "infer", scoring.Internal}); got != want {
		t.Errorf("observer heard %v, want %v", got, want)
	}
	if f.observer.panics != 1 || !strings.Contains(f.log.String(), "boom") {
		t.Errorf("got %d panics counted, log %s", f.observer.panics, f.log)
	}
}
