package grpcapi

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

func TestToken(t *testing.T) {
	t.Parallel()
	f := open(t, echo, func(c *Config) { c.AppToken = "s3cret" })
	for _, c := range []struct {
		name, token string
		code        codes.Code
	}{
		{"none", "", codes.Unauthenticated},
		{"wrong", "s3creT", codes.Unauthenticated},
		{"right", "s3cret", codes.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			if c.token != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "dapr-api-token", c.token)
			}
			_, err := f.client.ModelInfer(ctx, floats())
			wantStatus(t, err, c.code)
			_, err = f.client.ModelReady(ctx, &inferencepb.ModelReadyRequest{Name: "iris"})
			wantStatus(t, err, c.code)
			_, err = f.client.ServerMetadata(ctx, &inferencepb.ServerMetadataRequest{})
			wantStatus(t, err, c.code)
			err = f.conn.Invoke(ctx, "/inference.GRPCInferenceService/ModelTrain", &inferencepb.ServerLiveRequest{}, &inferencepb.ServerLiveResponse{})
			if c.code == codes.OK {
				wantStatus(t, err, codes.Unimplemented, "ModelTrain")
			} else {
				wantStatus(t, err, c.code, "dapr-api-token")
			}
			_, err = healthpb.NewHealthClient(f.conn).Check(ctx, &healthpb.HealthCheckRequest{})
			wantStatus(t, err, codes.OK)
			// What probes of the protocol's clients ask: they have no token.
			live, err := f.client.ServerLive(ctx, &inferencepb.ServerLiveRequest{})
			wantStatus(t, err, codes.OK)
			ready, err := f.client.ServerReady(ctx, &inferencepb.ServerReadyRequest{})
			wantStatus(t, err, codes.OK)
			if !live.GetLive() || !ready.GetReady() {
				t.Errorf("live %v, ready %v, want both", live.GetLive(), ready.GetReady())
			}
		})
	}
	if strings.Contains(f.log.String(), "s3cre") {
		t.Errorf("the log has the token: %s", f.log)
	}
}

// wait is a scorer that waits for the end of its context and tells how it ended.
func wait(ended chan<- error, entered chan<- time.Duration) scorer {
	return func(ctx context.Context, _ *scoring.InferRequest) (*scoring.InferResponse, error) {
		deadline, _ := ctx.Deadline()
		entered <- time.Until(deadline)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// caller is the deadline of the call, parameter the one in its parameters.
		caller, parameter, config, want time.Duration
	}{
		{"ours", 0, 0, 50 * time.Millisecond, 50 * time.Millisecond},
		{"the call's", 50 * time.Millisecond, 0, time.Hour, 50 * time.Millisecond},
		{"the call's is longer than ours", time.Hour, 0, 50 * time.Millisecond, 50 * time.Millisecond},
		{"the parameter's", 0, 50 * time.Millisecond, time.Hour, 50 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const tries = 20
			ended, entered := make(chan error, tries), make(chan time.Duration, tries)
			f := open(t, wait(ended, entered), func(config *Config) { config.Timeout = c.config })
			req := withParams(params{"timeout": {ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: c.parameter.Microseconds()}}})
			for range tries {
				wantStatus(t, f.inferWithin(t, c.caller, req), codes.DeadlineExceeded)
				var left time.Duration
				select {
				case left = <-entered:
				case <-time.After(time.Second):
					continue // on a busy machine the budget can be spent on the way to the scorer
				}
				if left > c.want {
					t.Errorf("the scorer had %v, want at most %v", left, c.want)
				}
				// A caller whose own deadline is over also hangs up, and either may come first.
				if err := <-ended; !errors.Is(err, context.DeadlineExceeded) && (c.caller == 0 || !errors.Is(err, context.Canceled)) {
					t.Errorf("the scorer's context ended with %v", err)
				}
				return
			}
			t.Errorf("no call of %d reached the scorer", tries)
		})
	}
}

// inferWithin calls with a deadline; 0 sets none.
func (f *fixture) inferWithin(t *testing.T, d time.Duration, req *inferencepb.ModelInferRequest) error {
	t.Helper()
	ctx := t.Context()
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	_, err := f.client.ModelInfer(ctx, req)
	return err
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ended, entered := make(chan error, 1), make(chan time.Duration, 1)
	f := open(t, wait(ended, entered))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	_, err := f.client.ModelInfer(ctx, floats())
	wantStatus(t, err, codes.Canceled)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the scorer's context ended with %v", err)
	}
	if got, want := f.observer.heard(t), (answer{"grpc", "infer", scoring.Canceled}); got != want {
		t.Errorf("observer heard %v, want %v", got, want)
	}
}

// TestConcurrentStreams: many calls at once on one connection get their own answers.
func TestConcurrentStreams(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	var calls sync.WaitGroup
	for i := range 200 {
		calls.Go(func() {
			req := floats()
			req.Id = strconv.Itoa(i)
			req.Inputs[0].Contents.Fp32Contents[0] = float32(i)
			resp, err := f.client.ModelInfer(t.Context(), req)
			if err != nil || resp.GetId() != req.GetId() || resp.GetOutputs()[0].GetContents().GetFp32Contents()[0] != float32(i) {
				t.Errorf("call %d: got %v, %v", i, resp, err)
			}
		})
	}
	calls.Wait()
}

// TestShutdownWaits: the listener's Shutdown lets calls in flight finish.
func TestShutdownWaits(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		close(entered)
		<-leave
		return echo(ctx, req)
	})
	answered := make(chan error, 1)
	go func() {
		_, err := f.client.ModelInfer(t.Context(), floats())
		answered <- err
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- f.door.Shutdown(t.Context()) }()
	select {
	case err := <-stopped:
		t.Fatalf("Shutdown returned while a call was in flight: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	if err := <-answered; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}
