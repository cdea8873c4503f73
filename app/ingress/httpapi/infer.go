package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// infer answers POST /v2/models/{model}/infer.
func (h *Handler) infer(w http.ResponseWriter, r *http.Request) error {
	return h.score(w, r, way{target: reference, score: h.scoreInfer, later: laterInfer})
}

func (h *Handler) scoreInfer(ctx context.Context, in *asked) (scored, error) {
	req, opts, err := decodeInfer(in)
	if err != nil {
		return scored{}, err
	}
	req.Model, req.Caller = in.ref, in.caller
	if !opts.HasLane {
		req.Schedule.Lane = in.schedule.Lane
	}
	if req.Schedule.Priority == 0 {
		req.Schedule.Priority = in.schedule.Priority
	}
	if req.ID, err = requestID(in.r, req.ID); err != nil {
		return scored{}, err
	}
	if opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opts.Timeout)
		defer cancel()
	}
	decoded := time.Since(in.start)
	resp, err := h.parts.Scorer.Infer(ctx, &req)
	if err != nil {
		return scored{}, err
	}
	resp.Timing.Decode = decoded
	answer, err := wire.AppendInfer(in.buffer, resp, &opts)
	if err != nil {
		return scored{}, fmt.Errorf("encode answer: %w", err)
	}
	return scored{id: resp.ID, model: resp.Model, timing: resp.Timing, answer: answer}, nil
}

// decodeInfer reads the body in the form that the header of the binary tensor extension
// announces.
func decodeInfer(in *asked) (scoring.InferRequest, wire.InferOptions, error) {
	header := in.r.Header.Get(wire.BinaryHeader)
	switch {
	case header == "":
		return wire.DecodeInfer(in.body)
	case !wire.IsRaw(header):
		return wire.DecodeInferBinary(header, in.body)
	case in.status.State != registry.Available:
		return scoring.InferRequest{}, wire.InferOptions{}, notReady(in.status)
	default:
		return wire.DecodeInferRaw(in.body, in.status.Version.Session.Signature())
	}
}
