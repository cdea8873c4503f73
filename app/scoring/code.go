package scoring

// Code is the kind of a failure. There is one list for every door, and one table (in
// this file) of what each door says for it.
type Code uint8

// The codes, in the order of the table in README.md.
const (
	// Invalid means that the request can never succeed as it is.
	Invalid Code = iota + 1
	// UnsupportedMedia means a content type or content encoding that Onda does not read.
	UnsupportedMedia
	// Unimplemented means a call of the protocol that Onda does not offer.
	Unimplemented
	// TooLarge means more bytes, rows or pixels than are allowed.
	TooLarge
	// Unauthenticated means that the caller did not show who it is.
	Unauthenticated
	// Denied means that the caller may not do this.
	Denied
	// NotFound means an unknown model, version or label.
	NotFound
	// Conflict means that the thing changed in the meantime.
	Conflict
	// Overloaded means that the queue is full: the same request can succeed later.
	Overloaded
	// Expired means that the caller's budget was spent before there was an answer.
	Expired
	// Canceled means that the caller left.
	Canceled
	// Unavailable means loading or draining: the same request can succeed later, or elsewhere.
	Unavailable
	// Internal means a defect of Onda, or of the model.
	Internal
)

// Outcome is what becomes of an event whose scoring failed.
type Outcome uint8

const (
	// DeadLetter ends the event: no retry can mend it. It goes to the dead-letter topic.
	DeadLetter Outcome = iota + 1
	// Retry gives the event back to the broker.
	Retry
)

// row is one line of the error table.
type row struct {
	name string
	// http is the status code of RFC 9110 (499: the usual extension for "client closed request").
	http int
	// grpc is the canonical status code number of gRPC.
	grpc  uint32
	event Outcome
	// refusal is the word for a request that was not taken; "" for failures after that.
	refusal string
}

// table is what each door answers. The numbers stand here as numbers because the
// vocabulary must not depend on a protocol library.
var table = map[Code]row{
	Invalid:          {"Invalid", 400, 3, DeadLetter, "invalid"},
	UnsupportedMedia: {"UnsupportedMedia", 415, 3, DeadLetter, "media_type"},
	Unimplemented:    {"Unimplemented", 501, 12, DeadLetter, "not_offered"},
	TooLarge:         {"TooLarge", 413, 8, DeadLetter, "too_large"},
	Unauthenticated:  {"Unauthenticated", 401, 16, DeadLetter, "unauthenticated"},
	Denied:           {"Denied", 403, 7, DeadLetter, "denied"},
	NotFound:         {"NotFound", 404, 5, DeadLetter, "not_found"},
	Conflict:         {"Conflict", 409, 10, DeadLetter, "conflict"},
	Overloaded:       {"Overloaded", 429, 8, Retry, "overloaded"},
	Expired:          {"Expired", 504, 4, DeadLetter, ""},
	Canceled:         {"Canceled", 499, 1, Retry, ""},
	Unavailable:      {"Unavailable", 503, 14, Retry, "unavailable"},
	Internal:         {"Internal", 500, 13, Retry, ""},
}

// Codes lists every code, in the order of their definition.
func Codes() []Code {
	all := make([]Code, 0, len(table))
	for c := Invalid; c <= Internal; c++ {
		all = append(all, c)
	}
	return all
}

// String is the code's name as it appears in error events, metrics and logs.
func (c Code) String() string { return c.row().name }

// HTTPStatus is the status code of an HTTP answer.
func (c Code) HTTPStatus() int { return c.row().http }

// GRPCCode is the number of the canonical gRPC status code.
func (c Code) GRPCCode() uint32 { return c.row().grpc }

// EventOutcome is what becomes of an event.
func (c Code) EventOutcome() Outcome { return c.row().event }

// row falls back to Internal: a code nobody defined is a defect of ours.
func (c Code) row() row {
	if r, ok := table[c]; ok {
		return r
	}
	return table[Internal]
}
