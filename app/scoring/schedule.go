package scoring

import "time"

// Lane is a class of traffic. Both lanes share the batches of a version.
type Lane uint8

const (
	// Interactive is for callers that wait. It goes first.
	Interactive Lane = iota
	// Bulk takes what Interactive leaves free.
	Bulk
)

// String is the lane's name in requests and metrics.
func (l Lane) String() string {
	if l == Bulk {
		return "bulk"
	}
	return "interactive"
}

// ParseLane reads the name that [Lane.String] writes; "" is [Interactive]. The error is an
// [Error] with code [Invalid].
func ParseLane(s string) (Lane, error) {
	switch s {
	case "", Interactive.String():
		return Interactive, nil
	case Bulk.String():
		return Bulk, nil
	default:
		return 0, Errorf(Invalid, "lane %q: want interactive or bulk", clip(s))
	}
}

// Schedule says how urgent a request is. The zero value is what most callers want.
type Schedule struct {
	// Lane of the request.
	Lane Lane
	// Priority within the lane, as the protocol has it: 1 goes first, larger numbers
	// later, and 0 means the model's default.
	Priority uint64
}

// Caller says who asks, as far as that decides which version answers, and what the caller may
// know: where traffic is split over versions, the same caller gets the same version.
type Caller struct {
	// Key is what the caller wants to be told apart by, such as a user's id; "" for none.
	Key string
	// App is the app id of the caller's sidecar; "" where it is not known.
	App string
	// Lists says that the caller may list the models and versions, by the same right as it asks:
	// then an error names what there is. Events come from whoever may publish them, and their
	// errors go to whoever reads the topic of dead letters, which is no right to list.
	Lists bool
}

// MaxKeyLen bounds a caller's key, in bytes.
const MaxKeyLen = 256

// Timing says how long a request spent in each step of its path. Steps that a request
// does not have are 0.
type Timing struct {
	// Decode is the time from the first byte of the body to a request of this package.
	Decode time.Duration
	// Queue is the wait for the model.
	Queue time.Duration
	// Preprocess is the time from instances to tensors.
	Preprocess time.Duration
	// Run is the time inside ONNX Runtime.
	Run time.Duration
	// Postprocess is the time from tensors to predictions.
	Postprocess time.Duration
	// Rows of the batch that the request ran in, its own among them; 0 where none ran, as
	// with an answer from the cache.
	Rows int
	// Cached says that the answer is that of an earlier request.
	Cached bool
	// At is the phase that the request was in last: of one that failed, where.
	At Phase
}

// Phase is a step of a request's path.
type Phase uint8

// The phases, in their order. A request may wait twice: to be pre-processed, and to run.
const (
	// Queue is the wait for a turn. It is the zero value: a request begins with it.
	Queue Phase = iota
	// Preprocess makes tensors of instances.
	Preprocess
	// Run is the model's.
	Run
	// Postprocess makes predictions of tensors.
	Postprocess
)

// Phases lists all of them.
func Phases() [4]Phase { return [...]Phase{Queue, Preprocess, Run, Postprocess} }

// String is the phase's name in metrics and traces.
func (p Phase) String() string {
	return [...]string{"queue", "preprocess", "run", "postprocess"}[min(p, Postprocess)]
}

// Scored is what became of a request to score, for those who count.
type Scored struct {
	// Model that was asked; the zero value where no version was found.
	Model ModelID
	// Lane that the request came in.
	Lane Lane
	// Rows of the request.
	Rows int
	// Timing says where the time went.
	Timing Timing
	// Took is the time from admission to the answer.
	Took time.Duration
	// Err is nil for success.
	Err error
}
