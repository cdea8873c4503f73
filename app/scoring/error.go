package scoring

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Error is a failure with a code. Message goes to the caller: it says what was wrong,
// where, and what would be right, and holds neither payload nor internals. The cause is
// for the log only.
type Error struct {
	// Code decides what each door answers.
	Code Code
	// Message is the public text.
	Message string
	// RetryAfter says when the same request can succeed, for [Overloaded] and
	// [Unavailable]; 0 where that is not known.
	RetryAfter time.Duration
	// Final says that no retry can mend this failure, whatever its code: an event ends
	// with it.
	Final bool
	// Reason says in one word what was lacking, for metrics; "" leaves it to the code. It is
	// one of the constants, never a caller's text: see [Error.Refusal].
	Reason string

	cause error
}

// What was lacking where requests are refused as [Overloaded].
const (
	// ReasonQueue means that as many rows wait as may.
	ReasonQueue = "queue_full"
	// ReasonBudget means that the wait would be longer than the request's time budget.
	ReasonBudget = "budget"
	// ReasonTensors means that the tensors that wait take as much memory as they may.
	ReasonTensors = "queue_memory"
	// ReasonBodies means that the bodies of requests take as much memory as they may.
	ReasonBodies = "body_memory"
	// ReasonEvents means that as many events are being scored as may.
	ReasonEvents = "events"
)

// Errorf makes an [Error] with a public message. Unlike fmt.Errorf it wraps nothing: see
// [Error.WithCause].
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithCause adds the private cause and returns e.
func (e *Error) WithCause(cause error) *Error {
	e.cause = cause
	return e
}

// WithRetryAfter sets when a retry can succeed and returns e.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// WithReason sets what was lacking and returns e.
func (e *Error) WithReason(reason string) *Error {
	e.Reason = reason
	return e
}

// Refusal says in one word why a request was refused: the [Error.Reason], or else one for its
// code. It is "" for failures that are no refusals: the request was taken, and then its time was
// over, its caller left, or something broke.
func (e *Error) Refusal() string {
	if e.Reason != "" {
		return e.Reason
	}
	return e.Code.row().refusal
}

// EventOutcome is what becomes of an event that failed with e.
func (e *Error) EventOutcome() Outcome {
	if e.Final {
		return DeadLetter
	}
	return e.Code.EventOutcome()
}

// Error gives code, message and cause: the text for logs, not for callers.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// InternalError makes the [Internal] error for a cause that is the log's business alone:
// its public text gives nothing away.
func InternalError(cause error) *Error {
	return Errorf(Internal, "internal error: the request was not answered; the server's log has the details").WithCause(cause)
}

// AsError finds the [Error] in err's chain. An ended context becomes [Expired] or
// [Canceled]; any other error becomes [Internal] with a text that gives nothing away.
// It returns nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	switch found := errors.As(err, &e); {
	case found && e != nil:
		return e
	case found:
		// A nil *Error in an error is a defect of ours, and neither success nor a reason to panic.
		return InternalError(nil)
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(Expired, "the request's time budget was spent before there was an answer").WithCause(err)
	case errors.Is(err, context.Canceled):
		return Errorf(Canceled, "the caller closed the request before there was an answer").WithCause(err)
	default:
		return InternalError(err)
	}
}

// CodeOf gives the code of err's [Error], by the rules of [AsError]. It is 0 for nil.
func CodeOf(err error) Code {
	if e := AsError(err); e != nil {
		return e.Code
	}
	return 0
}
