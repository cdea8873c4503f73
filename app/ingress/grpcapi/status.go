package grpcapi

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onda-serving/onda/app/scoring"
)

// retryAfter is the metadata that says when a retry can succeed, in seconds: the HTTP
// header's name and form, which callers behind a sidecar know.
const retryAfter = "retry-after"

// maxMessage bounds the text of a status. It travels as a header, and clients refuse
// headers of more than 8 KiB together.
const maxMessage = 2048

// statusOf makes the status of a failure, with the public text only.
func statusOf(e *scoring.Error) *status.Status {
	text := e.Message
	if len(text) > maxMessage {
		text = text[:maxMessage] + "..."
	}
	// A status whose text is not valid UTF-8 cannot be sent at all.
	st := status.New(codes.Code(e.Code.GRPCCode()), strings.ToValidUTF8(text, "\uFFFD"))
	if e.RetryAfter <= 0 {
		return st
	}
	detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	if err != nil {
		return st
	}
	return detailed
}

// trailerOf is the metadata of a failure; nil where there is none.
func trailerOf(e *scoring.Error) metadata.MD {
	if e.RetryAfter <= 0 {
		return nil
	}
	return metadata.Pairs(retryAfter, wholeSeconds(e.RetryAfter))
}

// wholeSeconds rounds up: a retry that comes too early is refused again.
func wholeSeconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// clip shortens what a caller sent before it is repeated in an error.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// Misdirected answers a call that came over a connection of HTTP: connections are given to
// one of the doors as a whole.
func Misdirected(w http.ResponseWriter) {
	st := statusOf(scoring.Errorf(scoring.Invalid, "a connection carries either HTTP or gRPC, and this one began with HTTP: call over a connection that is for gRPC alone"))
	header := w.Header()
	header.Set("Content-Type", "application/grpc")
	header.Set("Grpc-Status", strconv.FormatUint(uint64(st.Code()), 10))
	header.Set("Grpc-Message", url.PathEscape(st.Message()))
	w.WriteHeader(http.StatusOK)
}
