package grpcapi

import (
	"context"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// inferOne answers ModelInfer.
func (s *Server) inferOne(c *call, _ any, stream grpc.ServerStream) error {
	ctx, cancel := c.bounded(stream.Context())
	defer cancel()
	var m inferMessage
	if _, err := s.only(c, stream, &m); err != nil {
		return err
	}
	resp, err := s.infer(ctx, c, &m, c.start)
	if err != nil {
		return err
	}
	return c.send(stream, &inferAnswer{resp: resp, raw: m.raw})
}

// infer answers a request that came alone or as one of a stream, and began to arrive at
// start: budget, run.
func (s *Server) infer(ctx context.Context, c *call, m *inferMessage, start time.Time) (*scoring.InferResponse, error) {
	if m.err != nil {
		return nil, m.err
	}
	var err error
	if m.req.Caller, err = c.asks(); err != nil {
		return nil, err
	}
	if c.lane != "" && !m.options.hasLane {
		if m.req.Schedule.Lane, err = scoring.ParseLane(c.lane); err != nil {
			return nil, scoring.Errorf(scoring.Invalid, "metadata %s: %s", laneKey, scoring.AsError(err).Message)
		}
	}
	if m.options.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.options.timeout)
		defer cancel()
	}
	decoded := time.Since(start)
	resp, err := s.parts.Scorer.Infer(ctx, &m.req)
	if err != nil {
		return nil, err
	}
	resp.Timing.Decode = decoded
	s.parts.Tracer.Decode(ctx, start, decoded)
	return resp, nil
}

// asks says who asks.
func (c *call) asks() (scoring.Caller, error) {
	if len(c.key) > scoring.MaxKeyLen {
		return scoring.Caller{}, scoring.Errorf(scoring.Invalid, "metadata %s is %d bytes long: at most %d are allowed", keyKey, len(c.key), scoring.MaxKeyLen)
	}
	if at := strings.IndexFunc(c.key, unicode.IsControl); at >= 0 {
		return scoring.Caller{}, scoring.Errorf(scoring.Invalid, "metadata %s has a control character at offset %d: want text without any", keyKey, at)
	}
	return scoring.Caller{Key: c.key, App: c.caller, Lists: true}, nil
}

// inferMessage is a request for a run on tensors, read from its message.
type inferMessage struct {
	// streamed says that it is one of a stream.
	streamed bool

	req     scoring.InferRequest
	options inferOptions
	// raw says that its tensors were raw, and so is the answer.
	raw bool
	// id is that of the request, whatever is wrong with it.
	id string
	// err says what is wrong with a request that could be read.
	err error
}

// decode reads the message. The error is for one that cannot be read at all.
func (m *inferMessage) decode(data []byte) error {
	if m.plain(data) {
		return nil
	}
	in := new(inferencepb.ModelInferRequest)
	if err := unmarshal(data, in); err != nil {
		return err
	}
	m.raw, m.id = len(in.GetRawInputContents()) > 0, in.GetId()
	if len(m.id) > maxID {
		m.id = clip(m.id)
	}
	m.req, m.options, m.err = decodeInfer(in, m.streamed)
	return nil
}

// decodeInfer reads a request. streamed says that it came as one of a stream.
func decodeInfer(in *inferencepb.ModelInferRequest, streamed bool) (req scoring.InferRequest, options inferOptions, err error) {
	if req.Model, err = reference(in.GetModelName(), in.GetModelVersion()); err != nil {
		return req, options, err
	}
	if req.ID, err = requestID(in.GetId()); err != nil {
		return req, options, err
	}
	for name, parameter := range in.GetParameters() {
		if err := options.parameter(&req, name, parameter, streamed); err != nil {
			return req, options, err
		}
	}
	for _, output := range in.GetOutputs() {
		wanted, err := decodeOutput(output)
		if err != nil {
			return req, options, err
		}
		req.Outputs = append(req.Outputs, wanted)
	}
	req.Inputs, err = decodeInputs(in)
	return req, options, err
}

// maxID bounds the id of a request, which the answer repeats.
const maxID = 256

func requestID(id string) (string, error) {
	if len(id) > maxID {
		return "", scoring.Errorf(scoring.Invalid, "the request's id is %d bytes long: at most %d are allowed", len(id), maxID)
	}
	return id, nil
}
