package suite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/onda-serving/onda/tests/bench/echo"
	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
)

// readyWithin is how long a program may take to be ready.
const readyWithin = time.Minute

// server is a program that answers at an address.
type server struct {
	*proc.Process

	address string
	started time.Duration // from the start of the process to the first good answer
	pids    []int         // all its processes, once it is ready
}

// startOnda starts Onda with its defaults, but for addresses and models, and waits until
// it takes requests. A model that could not be loaded is found by the first request for it.
func (b *Bench) startOnda(ctx context.Context, name, models string, env ...string) (*server, error) {
	port, err := proc.Port()
	if err != nil {
		return nil, err
	}
	return b.startOndaAt(ctx, proc.Local(port), name, models, env...)
}

// startOndaAt starts Onda at an address that others know already.
func (b *Bench) startOndaAt(ctx context.Context, address, name, models string, env ...string) (s *server, err error) {
	s = &server{address: address}
	s.Process, err = proc.Start(proc.Command{
		Name: name, Args: []string{b.onda, "serve"}, Dir: b.root, Logs: b.logs(),
		Env: append([]string{
			"ONDA_LISTEN=" + s.address, "ONDA_METRICS_LISTEN=", "ONDA_MODELS_DIR=" + models,
			"ONDA_ONNXRUNTIME_LIBRARY=" + b.library, "ONDA_LOG_FORMAT=json",
		}, env...),
	})
	if err != nil {
		return nil, err
	}
	return s, s.await(ctx, proc.Get("http://"+s.address+"/healthz"))
}

// await waits until the server is ready, and stops it if that does not happen.
func (s *server) await(ctx context.Context, ask func(context.Context) error) (err error) {
	if s.started, err = s.Ready(ctx, readyWithin, ask); err != nil {
		s.Stop()
		return err
	}
	s.pids = s.PIDs()
	return nil
}

func (b *Bench) logs() string { return filepath.Join(b.local, "log") }

// probe sends a request once and gives the answer, or says why there is none: a
// measurement of errors would be a measurement of nothing.
func probe(ctx context.Context, r load.Request) (answer []byte, contentType string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if r.Protocol == load.GRPC {
		answer, err = probeGRPC(ctx, r)
		return answer, "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Address+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return nil, "", err
	}
	for name, value := range r.Headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(response.Body); err != nil {
		return nil, "", err
	}
	if response.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("status %d: %.200s", response.StatusCode, answer)
	}
	return answer, response.Header.Get("Content-Type"), nil
}

// probeGRPC makes the call with grpc-go.
func probeGRPC(ctx context.Context, r load.Request) (answer []byte, err error) {
	conn, err := grpc.NewClient(r.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx = metadata.NewOutgoingContext(ctx, metadata.New(r.Headers))
	err = conn.Invoke(ctx, r.Path, r.Body, &answer, grpc.ForceCodecV2(echo.Codec{}))
	return answer, err
}

// startEcho starts an echo server that gives the answer that Onda gave to the request.
func (b *Bench) startEcho(ctx context.Context, name string, r load.Request) (*server, error) {
	answer, contentType, err := probe(ctx, r)
	if err != nil {
		return nil, err
	}
	file, err := b.scratch(name+".answer", answer)
	if err != nil {
		return nil, err
	}
	port, err := proc.Port()
	if err != nil {
		return nil, err
	}
	s := &server{address: proc.Local(port)}
	args := []string{b.self, "echo", "-listen", s.address, "-answer", file, "-type", contentType}
	if r.Protocol == load.GRPC {
		args = append(args, "-grpc")
	}
	if s.Process, err = proc.Start(proc.Command{Name: name, Args: args, Dir: b.root, Logs: b.logs()}); err != nil {
		return nil, err
	}
	r.Address = s.address
	return s, s.await(ctx, first(r))
}
