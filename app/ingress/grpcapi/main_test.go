package grpcapi

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton/configpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scorer is a Scorer made of a function.
type scorer func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error)

func (f scorer) Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	return f(ctx, req)
}

// echo answers with the inputs.
func echo(_ context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	return &scoring.InferResponse{
		Model: scoring.ModelID{Name: req.Model.Name, Version: max(req.Model.Version, 1), Digest: "sha256:0123"}, ID: req.ID, Outputs: req.Inputs,
	}, nil
}

// models knows "iris", whose version 1 is available and 2 is loading.
type models struct{ unready atomic.Bool }

func (m *models) Ready() bool { return !m.unready.Load() }

func (m *models) Status(ref scoring.ModelRef) (registry.Status, error) {
	model, err := m.Model(ref.Name)
	if err != nil {
		return registry.Status{}, err
	}
	number := max(ref.Version, 1)
	if ref.Label != "" {
		labelled, ok := model.Labels[ref.Label]
		if !ok {
			return registry.Status{}, scoring.Errorf(scoring.NotFound, "model %q has no label %q", ref.Name, ref.Label)
		}
		number = labelled
	}
	if number > int64(len(model.Versions)) {
		return registry.Status{}, scoring.Errorf(scoring.NotFound, "model %q has no version %d", ref.Name, ref.Version)
	}
	return model.Versions[number-1], nil
}

func (m *models) Wake(_ context.Context, ref scoring.ModelRef) (registry.Status, error) {
	return m.Status(ref)
}

func (m *models) Model(name string) (registry.Model, error) {
	if name != "iris" {
		return registry.Model{}, scoring.Errorf(scoring.NotFound, "model %q does not exist", name)
	}
	return registry.Model{Name: name, Labels: map[string]int64{scoring.LabelLive: 1, "canary": 2}, Versions: []registry.Status{
		{Ref: artifact.Ref{Name: name, Version: 1}, State: registry.Available, Version: &registry.Version{Session: session{}, Config: &configpb.ModelConfig{Name: name, MaxBatchSize: 8}}},
		{Ref: artifact.Ref{Name: name, Version: 2}, State: registry.Loading},
	}}, nil
}

func (m *models) Models() []registry.Model {
	iris, _ := m.Model("iris")
	return []registry.Model{iris, {Name: "rose", Versions: []registry.Status{
		{Ref: artifact.Ref{Name: "rose", Version: 1}, State: registry.Failed, Reason: "no such file"},
		{Ref: artifact.Ref{Name: "rose", Version: 2}, State: registry.Unloaded},
	}}}
}

func (*models) Statistics(ref scoring.ModelRef) (scoring.Statistics, error) {
	total := func(n uint64) scoring.Total {
		return scoring.Total{Count: n, Time: time.Duration(n) * time.Microsecond}
	}
	return scoring.Statistics{
		Model: scoring.ModelID{Name: ref.Name, Version: ref.Version}, LastInference: time.UnixMilli(1_700_000_000_123),
		Inferences: 12, Executions: 3, Success: total(1), Fail: total(2), Queue: total(3), Input: total(4), Infer: total(5), Output: total(6),
		CacheHit: total(7), CacheMiss: total(8), Bytes: 9,
		Batches: []scoring.BatchStatistics{{Rows: 4, Input: total(10), Infer: total(11), Output: total(12)}},
	}, nil
}

// session has a signature and nothing else.
type session struct{ registry.Session }

func (session) Signature() scoring.Signature {
	return scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, 4}}},
		Outputs: []scoring.TensorSpec{{Name: "label", Datatype: scoring.Int64, Shape: []int64{-1}}, {Name: "any", Datatype: scoring.Bytes}},
	}
}

// answer is what an observer heard.
type answer struct {
	door, operation string
	code            scoring.Code
}

// observer notes what it hears.
type observer struct {
	mu      sync.Mutex
	answers []answer
	panics  int
	// deaf is true for benchmarks.
	deaf bool
}

func (o *observer) Answered(door, operation string, err error, _ time.Duration) {
	if o.deaf {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers = append(o.answers, answer{door, operation, scoring.CodeOf(err)})
}

func (o *observer) Panicked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.panics++
}

// heard waits for the next answer: the door tells its observer after the caller has it.
func (o *observer) heard(t *testing.T) answer {
	t.Helper()
	for range 500 {
		o.mu.Lock()
		if len(o.answers) > 0 {
			next := o.answers[0]
			o.answers = o.answers[1:]
			o.mu.Unlock()
			return next
		}
		o.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the observer heard nothing")
	return answer{}
}

// fixture is a door behind a listener, as in production, and a client of it.
type fixture struct {
	addr     string
	client   inferencepb.GRPCInferenceServiceClient
	conn     *grpc.ClientConn
	models   *models
	observer *observer
	draining *atomic.Bool
	log      *buffer
	door     *Server
	bodies   *admit.Bytes
}

// open starts a door.
func open(t testing.TB, infer scorer, change ...func(*Config)) *fixture {
	t.Helper()
	return openWith(t, infer, func(*Parts) {}, change...)
}

// openWith starts a door of other parts than usual.
func openWith(t testing.TB, infer scorer, replace func(*Parts), change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{models: &models{}, observer: &observer{}, draining: &atomic.Bool{}, log: &buffer{}}
	config := Config{ServerName: "onda", ServerVersion: "1.2.3", MaxBody: 1 << 20, Timeout: 10 * time.Second, ReadTimeout: 10 * time.Second}
	for _, c := range change {
		c(&config)
	}
	log := zerolog.New(f.log)
	if _, ok := t.(*testing.B); ok {
		log, f.observer.deaf = zerolog.Nop(), true
	}
	f.bodies = admit.NewBytes(8 * config.MaxBody)
	parts := Parts{Scorer: infer, Models: f.models, Observer: f.observer, Log: log, Draining: f.draining.Load, Bodies: f.bodies}
	replace(&parts)
	f.door = New(config, parts)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = listener.Addr().String()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = f.door.Serve(listener)
	}()
	if f.conn, err = grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	f.client = inferencepb.NewGRPCInferenceServiceClient(f.conn)
	t.Cleanup(func() {
		_ = f.conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.door.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		<-served
	})
	return f
}

// buffer is a log that may be written while it is read.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// wantStatus fails unless err is a status with this code whose text has every part.
func wantStatus(t *testing.T, err error, code codes.Code, parts ...string) *status.Status {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code {
		t.Fatalf("got %v %q, want %v", st.Code(), st.Message(), code)
	}
	for _, part := range parts {
		if !strings.Contains(st.Message(), part) {
			t.Errorf("message %q: want %q in it", st.Message(), part)
		}
	}
	return st
}

// request asks for iris with one input.
func request(input *inferencepb.ModelInferRequest_InferInputTensor, raw ...[]byte) *inferencepb.ModelInferRequest {
	return &inferencepb.ModelInferRequest{
		ModelName: "iris", Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{input}, RawInputContents: raw,
	}
}

// floats is a valid request.
func floats() *inferencepb.ModelInferRequest {
	return request(&inferencepb.ModelInferRequest_InferInputTensor{
		Name: "x", Datatype: "FP32", Shape: []int64{1, 2}, Contents: &inferencepb.InferTensorContents{Fp32Contents: []float32{1, 2}},
	})
}
