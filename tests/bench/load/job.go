// Package load is the bench's load generator. It runs in a process of its own, so that
// its CPU time is never taken for a server's, and it costs as little as it can, because
// it shares the machine's cores with the server: requests are bytes made once, and a
// client of HTTP/1.1 and one of gRPC, written for this alone, send them.
//
// Throughput is measured in a closed loop: so many connections, each of which sends the
// next request when it has its answer. Latency is measured in an open loop: requests
// are due at times that do not depend on the answers, and the latency of each counts
// from when it was due, not from when it could be sent, so that a server that stalls
// cannot hide it (no coordinated omission).
//
// Events take part in both loops as requests do: one is over when its answer was heard.
package load

import (
	"time"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// Protocol is how requests travel.
type Protocol string

// The protocols.
const (
	// HTTP is HTTP/1.1 with kept connections.
	HTTP Protocol = "http"
	// GRPC is unary gRPC over HTTP/2 without TLS.
	GRPC Protocol = "grpc"
	// Events publishes a CloudEvent over HTTP, and hears its answer on a topic.
	Events Protocol = "events"
)

// Request is what is sent, always the same.
type Request struct {
	// Protocol to speak.
	Protocol Protocol `json:"protocol"`
	// Address is host:port.
	Address string `json:"address"`
	// Path of the URL, or the full method of gRPC.
	Path string `json:"path"`
	// Headers of HTTP, or the metadata of gRPC; names in lower case.
	Headers map[string]string `json:"headers,omitempty"`
	// Body of HTTP, the message of gRPC, or what [Event] makes.
	Body []byte `json:"body"`
	// Answers say where those of events arrive.
	Answers Answers `json:"answers,omitzero"`
	// Bulk publishes events many in a call: all that wait while another call is under way.
	Bulk bool `json:"bulk,omitempty"`
}

// Answers is where the answers of events arrive.
type Answers struct {
	// Sidecar is the host:port of the gRPC API of the sidecar that delivers them.
	Sidecar string `json:"sidecar"`
	// PubSub is the name of the component.
	PubSub string `json:"pubsub"`
	// Results and DeadLetters are the topics.
	Results     string `json:"results"`
	DeadLetters string `json:"dead_letters"`
}

// Job is one measurement.
type Job struct {
	Request

	// Rate is how many requests a second are due on average, at random (Poisson)
	// times; 0 means a closed loop.
	Rate float64 `json:"rate,omitempty"`
	// Connections of a closed loop, and the most of an open one.
	Connections int `json:"connections"`
	// WarmUp is not measured, Window is.
	WarmUp time.Duration `json:"warm_up"`
	Window time.Duration `json:"window"`
	// Budget is how long the caller waits for an answer that is of use; 0 is for ever.
	Budget time.Duration `json:"budget,omitempty"`
	// Watch are the processes whose CPU time is taken over the window: the server's.
	Watch []int `json:"watch,omitempty"`
	// Seed of the times of an open loop.
	Seed uint64 `json:"seed,omitempty"`
}

// Latency are quantiles in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Result is what a job measured.
type Result struct {
	// Seconds that the window really lasted.
	Seconds float64 `json:"seconds"`
	// Counts of requests by outcome.
	Counts map[string]uint64 `json:"counts"`
	// Good counts the answers within the budget.
	Good uint64 `json:"good"`
	// Latency by outcome.
	Latency map[string]Latency `json:"latency"`
	// ClientCPU and ServerCPU are seconds of CPU time, user and system, over the window.
	ClientCPU float64 `json:"client_cpu"`
	ServerCPU float64 `json:"server_cpu"`
	// Lag is how late the generator itself was with the requests of an open loop:
	// part of their latency, and none of the server's fault.
	Lag Latency `json:"lag"`
	// Events is what became of the events, of which the warm-up's are a part.
	Events *Delivery `json:"events,omitempty"`
	// Error is the first failure, to tell what went wrong.
	Error string `json:"error,omitempty"`
}

// Delivery counts what became of events.
type Delivery struct {
	// Published are those that the sidecar took.
	Published uint64 `json:"published"`
	// Lost are those of them that nothing answered in time.
	Lost uint64 `json:"lost"`
	// Duplicates are answers to what had been answered.
	Duplicates uint64 `json:"duplicates"`
	// DeadLetters are events that were answered by an error.
	DeadLetters uint64 `json:"dead_letters"`
}

// Total is how many requests were made.
func (r Result) Total() (n uint64) {
	for _, count := range r.Counts {
		n += count
	}
	return n
}

// describe turns a histogram into quantiles.
func describe(h *stats.Histogram) Latency {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return Latency{P50: ms(h.Quantile(0.5)), P90: ms(h.Quantile(0.9)), P95: ms(h.Quantile(0.95)), P99: ms(h.Quantile(0.99)), Max: ms(h.Max())}
}

// report fills the result with what was counted.
func (r *Result) report(t *stats.Tally) {
	r.Counts, r.Latency = map[string]uint64{}, map[string]Latency{}
	for o := range stats.Outcomes {
		if h := &t.Latency[o]; h.Count() > 0 {
			r.Counts[o.String()] = h.Count()
			r.Latency[o.String()] = describe(h)
		}
	}
	r.Good = t.Good
}
