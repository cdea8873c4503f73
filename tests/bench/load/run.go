package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/stats"
)

// patience is how long a request may take before it counts as failed.
const patience = 20 * time.Second

// client sends the one request of a job over one connection, again and again. It is not
// safe for concurrent use. After an error it opens a new connection by itself.
type client interface {
	// do sends the request and waits for its answer.
	do() (stats.Outcome, error)
	close()
}

// newClient makes a client of a protocol whose answers come by the same connection; it connects with the first request.
func newClient(r Request) (client, error) {
	switch r.Protocol {
	case HTTP:
		return newHTTPClient(r), nil
	case GRPC:
		return newGRPCClient(r), nil
	default:
		return nil, fmt.Errorf("protocol %q: want %s, %s or %s", r.Protocol, HTTP, GRPC, Events)
	}
}

// dial connects. There is one deadline for many requests: to set one is a cost of its own.
func dial(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, patience) //nolint:noctx // the time-out bounds it
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(10 * patience))
}

// Run does a job.
func Run(ctx context.Context, job Job) (Result, error) {
	if job.Connections < 1 || job.Window <= 0 {
		return Result{}, errors.New("a job needs connections and a window")
	}
	if job.Protocol == Events {
		return runEvents(ctx, job)
	}
	return loop(ctx, job, func() (client, error) { return newClient(job.Request) })
}

// loop does a job with the clients that connect makes.
func loop(ctx context.Context, job Job, connect func() (client, error)) (Result, error) {
	if job.Rate > 0 {
		return openLoop(ctx, job, connect)
	}
	return closedLoop(ctx, job, connect)
}

// meter takes the CPU time of the generator and of the server over a window.
type meter struct {
	watch          []int
	client, server float64
	began          time.Time
}

func startMeter(watch []int) *meter {
	return &meter{watch: watch, client: ownCPU(), server: proc.CPUSeconds(watch), began: time.Now()}
}

// stop writes what was used since into r.
func (m *meter) stop(r *Result) {
	r.Seconds = time.Since(m.began).Seconds()
	r.ClientCPU = ownCPU() - m.client
	r.ServerCPU = proc.CPUSeconds(m.watch) - m.server
}

// ownCPU is the CPU time of this process in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
