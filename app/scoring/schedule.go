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

// Caller says who asks, as far as that decides which version answers: where traffic is split
// over versions, the same caller gets the same version.
type Caller struct {
	// Key is what the caller wants to be told apart by, such as a user's id; "" for none.
	Key string
	// App is the app id of the caller's sidecar; "" where it is not known.
	App string
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
}
