package grpcapi

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// streamRequests bounds the requests of a stream that are scored or wait for their answer
// to be sent. They can share batches; more would let one caller take the whole queue.
const streamRequests = 16

// The parameters of Triton's streams. A model could have several answers to a request there,
// or none, and clients ask for the mark of the last one. Here every request has one answer.
const (
	emptyFinalParameter = "triton_enable_empty_final_response"
	finalParameter      = "triton_final_response"
	// grpcErrorKey is the metadata by which a caller asks that a failure ends the stream
	// with its status.
	grpcErrorKey = "triton_grpc_error"
)

// streaming is a stream of requests: one goroutine reads them, one for each scores them,
// and one sends the answers in the order of the requests.
type streaming struct {
	server *Server
	call   *call
	stream grpc.ServerStream
	// ctx ends with the call, and where no more answers can be sent.
	ctx    context.Context //nolint:containedctx // the value lives no longer than the call
	cancel context.CancelFunc
	// answers are those to come, in order. Its length bounds the requests.
	answers chan chan streamAnswer
}

// streamAnswer is the answer to one request of a stream.
type streamAnswer struct {
	// message is of the type that the codec makes the answer's message of.
	message any
	err     error
	// held is how much memory is booked for the request.
	held int64
}

// streamInfer answers ModelStreamInfer.
func (s *Server) streamInfer(c *call, _ any, stream grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	x := &streaming{server: s, call: c, stream: stream, ctx: ctx, cancel: cancel, answers: make(chan chan streamAnswer, streamRequests-2)}
	sent := make(chan error, 1)
	go func() { sent <- x.send() }()
	err := x.receive()
	close(x.answers)
	// What was read is answered, whatever the reading ended with.
	if failure := <-sent; failure != nil {
		return failure
	}
	return err
}

// receive reads requests until the caller sends no more, or the app drains and there is
// none on its way.
func (x *streaming) receive() error {
	for {
		in := &inferMessage{streamed: true}
		w := waiting{most: x.server.config.ReadTimeout, idle: true, until: x.until}
		e, err := x.call.receive(x.stream, in, &w)
		w.stop()
		switch {
		case e != nil: // read or not, it gets an answer
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
		answer := make(chan streamAnswer, 1)
		x.answers <- answer // waits while there are too many; the sender always goes on
		go func() { answer <- x.answer(in, e, err) }()
	}
}

// until says why a wait for the next request is to end.
func (x *streaming) until() error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	if x.server.parts.Draining() {
		return shuttingDown()
	}
	return nil
}

// answer scores a request. unread is why its message could not be read.
func (x *streaming) answer(in *inferMessage, e *envelope, unread error) (a streamAnswer) {
	start := time.Now()
	ctx, span := x.server.traceOne(x.ctx, x.call)
	defer func() {
		if p := recover(); p != nil {
			a.err = x.server.caught(ctx, p)
		}
		end(span, a.err)
		a.held = e.held()
		if a.err != nil {
			a.message = failureOf(in, a.err)
		}
		x.server.note(ctx, x.call, time.Since(start), a.err)
	}()
	if unread != nil {
		a.err = unread
		return a
	}
	ctx, cancel := context.WithDeadline(ctx, start.Add(x.server.config.Timeout))
	defer cancel()
	resp, err := x.server.infer(ctx, x.call, in, start)
	if err != nil {
		a.err = err
		return a
	}
	a.message = &inferAnswer{resp: resp, raw: in.raw, streamed: true}
	return a
}

// failureOf is the message of a failed request. It has the request's id, by which clients
// find the request that it is about.
func failureOf(in *inferMessage, err error) *inferencepb.ModelStreamInferResponse {
	return &inferencepb.ModelStreamInferResponse{
		ErrorMessage: statusOf(scoring.AsError(err)).Message(),
		InferResponse: &inferencepb.ModelInferResponse{Id: in.id, Parameters: map[string]*inferencepb.InferParameter{
			finalParameter: markFinal(),
		}},
	}
}

// markFinal marks an answer as the last one to its request.
func markFinal() *inferencepb.InferParameter {
	return &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_BoolParam{BoolParam: true}}
}

// send sends the answers in order. After a failure it only waits for the rest: they hold
// memory.
func (x *streaming) send() error {
	var failure error
	for answer := range x.answers {
		a := <-answer
		if failure == nil {
			if failure = x.sendOne(a); failure != nil {
				x.cancel()
			}
		}
		x.call.free(a.held)
	}
	return failure
}

func (x *streaming) sendOne(a streamAnswer) error {
	if a.err != nil && x.call.strict {
		return a.err
	}
	return x.call.send(x.stream, a.message)
}
