package grpcapi

import (
	"encoding/base64"
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
	"google.golang.org/protobuf/proto"
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

// refuse answers a call that gRPC has not seen, in gRPC's form for an answer that is all
// status: everything is in the headers, and there is no body.
func refuse(w http.ResponseWriter, e *scoring.Error) {
	st := statusOf(e)
	header := w.Header()
	header.Set("Content-Type", "application/grpc")
	header.Set("Grpc-Status", number(st.Code()))
	header.Set("Grpc-Message", url.PathEscape(st.Message()))
	if e.RetryAfter > 0 {
		header.Set(retryAfter, wholeSeconds(e.RetryAfter))
		if details, err := proto.Marshal(st.Proto()); err == nil {
			header.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
		}
	}
	w.WriteHeader(http.StatusOK)
}

// number is a status code as it travels.
func number(c codes.Code) string { return strconv.FormatUint(uint64(c), 10) }

// codeOf gives what gRPC answers by itself its place in our table.
func codeOf(status string) scoring.Code {
	for _, c := range ownAnswers {
		if status == c.status {
			return c.code
		}
	}
	return scoring.Invalid
}

// ownAnswers are the statuses that gRPC gives without asking us. Anything else it says is
// about a call that does not follow its protocol.
var ownAnswers = []struct {
	status string
	code   scoring.Code
}{
	{number(codes.Canceled), scoring.Canceled},
	{number(codes.DeadlineExceeded), scoring.Expired},
	{number(codes.ResourceExhausted), scoring.TooLarge},
	{number(codes.Unimplemented), scoring.Unimplemented},
}

// clip shortens what a caller sent before it is repeated in an error.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
