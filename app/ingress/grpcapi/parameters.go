package grpcapi

import (
	"math"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// inferOptions are what a request asks of the door, beside the scoring itself.
type inferOptions struct {
	// timeout is the caller's budget; 0 if it gave none.
	timeout time.Duration
	// hasLane says that the request names its lane, so that its metadata does not count.
	hasLane bool
}

// parameter notes a parameter of a request. Names that the protocol does not know are
// passed over: a client may send them to any server. So are binary_data_output and its
// like, which are about HTTP.
func (o *inferOptions) parameter(req *scoring.InferRequest, name string, value *inferencepb.InferParameter, streamed bool) (err error) {
	switch name {
	case "timeout":
		var micros uint64
		micros, err = wholeNumber(value, "parameter timeout: want a whole number of microseconds, 0 or more")
		o.timeout = time.Duration(min(micros, uint64(24*time.Hour/time.Microsecond))) * time.Microsecond
	case "priority":
		req.Schedule.Priority, err = wholeNumber(value, "parameter priority: want a whole number, 0 or more")
	case "lane":
		req.Schedule.Lane, err = decodeLane(value)
		o.hasLane = true
	case "sequence_id":
		err = checkSequence(value)
	case emptyFinalParameter:
		if !streamed {
			err = scoring.Errorf(scoring.Invalid, "parameter %s is for requests of ModelStreamInfer: leave it out here", name)
		}
	default:
		if strings.HasPrefix(name, "triton_") {
			err = scoring.Errorf(scoring.Invalid, "parameter %q: names that start with triton_ are reserved: choose another", clip(name))
		}
	}
	return err
}

func decodeLane(value *inferencepb.InferParameter) (scoring.Lane, error) {
	text, ok := value.GetParameterChoice().(*inferencepb.InferParameter_StringParam)
	if !ok {
		return 0, scoring.Errorf(scoring.Invalid, "parameter lane: want interactive or bulk, as string_param")
	}
	return scoring.ParseLane(text.StringParam)
}

// checkSequence refuses a request that belongs to a sequence: to score it alone would be a
// wrong answer. The ids 0 and "" mean that there is no sequence.
func checkSequence(value *inferencepb.InferParameter) error {
	if text, ok := value.GetParameterChoice().(*inferencepb.InferParameter_StringParam); ok {
		if text.StringParam == "" {
			return nil
		}
	} else if id, err := wholeNumber(value, "parameter sequence_id: want a whole number or a string"); err != nil || id == 0 {
		return err
	}
	return scoring.Errorf(scoring.Unimplemented, "sequences are not offered: send each request without sequence_id")
}

// wholeNumber reads a number of 0 or more; otherwise the error begins with want. No choice
// at all is 0.
func wholeNumber(parameter *inferencepb.InferParameter, want string) (uint64, error) {
	switch value := parameter.GetParameterChoice().(type) {
	case nil:
		return 0, nil
	case *inferencepb.InferParameter_Uint64Param:
		return value.Uint64Param, nil
	case *inferencepb.InferParameter_Int64Param:
		if value.Int64Param >= 0 {
			return uint64(value.Int64Param), nil
		}
		return 0, scoring.Errorf(scoring.Invalid, "%s, got %d", want, value.Int64Param)
	default:
		return 0, scoring.Errorf(scoring.Invalid, "%s, as int64_param or uint64_param", want)
	}
}

// decodeOutput reads an output that is wanted.
func decodeOutput(output *inferencepb.ModelInferRequest_InferRequestedOutputTensor) (scoring.Output, error) {
	wanted := scoring.Output{Name: output.GetName()}
	if parameter, ok := output.GetParameters()["classification"]; ok {
		classes, err := wholeNumber(parameter, "parameter classification of an output: want a whole number of classes, 0 or more")
		if err != nil {
			return wanted, err
		}
		wanted.Classes = int(min(classes, math.MaxInt32))
	}
	return wanted, checkSharedMemory("output", output.GetName(), output.GetParameters())
}

// checkSharedMemory refuses tensors that are not in the message.
func checkSharedMemory(kind, name string, parameters map[string]*inferencepb.InferParameter) error {
	for parameter := range parameters {
		if strings.HasPrefix(parameter, "shared_memory_") {
			return scoring.Errorf(scoring.Unimplemented, "%s %q: shared memory is not offered: tensors travel in the message", kind, clip(name))
		}
	}
	return nil
}
