package events

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// Types of Onda's events: CloudEvents 1.0, https://github.com/cloudevents/spec.
const (
	// RequestType asks for a scoring.
	RequestType = "onda.score.request.v1"
	// ResultType answers one.
	ResultType = "onda.score.result.v1"
	// ErrorType says that one failed and that no retry can mend it.
	ErrorType = "onda.score.error.v1"
	// daprType is what Dapr writes for a publisher that names no type of its own.
	daprType = "com.dapr.event.sent"
)

// cloudEvent is a CloudEvent in structured JSON, as far as Onda reads it.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
	DataBase64      string          `json:"data_base64"`
	Expiration      string          `json:"expiration"`
	PartitionKey    string          `json:"partitionkey"`
	TraceParent     string          `json:"traceparent"`
	TraceState      string          `json:"tracestate"`
}

// parse reads a structured CloudEvent. The error is an [scoring.Error] with code Invalid.
func parse(body []byte) (cloudEvent, error) {
	var e cloudEvent
	if !utf8.Valid(body) {
		// encoding/json would put other characters in the place of the invalid bytes.
		return e, scoring.Errorf(scoring.Invalid, "the event is not valid UTF-8")
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, scoring.Errorf(scoring.Invalid, "the event is not a CloudEvent in structured JSON").WithCause(err)
	}
	switch {
	case !strings.HasPrefix(e.SpecVersion, "1."):
		return e, scoring.Errorf(scoring.Invalid, `specversion %q: want "1.0"`, clip(e.SpecVersion))
	case e.ID == "" || e.Source == "":
		return e, scoring.Errorf(scoring.Invalid, "the event has no id or no source: both are needed to tell events apart")
	case len(e.ID) > maxAttribute || len(e.Source) > maxAttribute:
		return e, scoring.Errorf(scoring.TooLarge, "the event's id or source is longer than %d bytes", maxAttribute)
	case e.Type != RequestType && e.Type != daprType:
		return e, scoring.Errorf(scoring.Invalid, "type %q: want %q", clip(e.Type), RequestType)
	case e.Subject == "":
		return e, scoring.Errorf(scoring.Invalid, `the event has no subject: want "MODEL", "MODEL/versions/N" or "MODEL/labels/L"`)
	}
	return e, nil
}

// maxAttribute bounds id and source, in bytes: they go into state keys and other events.
const maxAttribute = 1024

// request is what an event asks for: exactly one of predict and infer is set.
type request struct {
	predict *scoring.PredictRequest
	infer   *scoring.InferRequest
	// timeout is the budget that the data asks for; 0 if none.
	timeout time.Duration
}

// request reads what e asks for.
func (e cloudEvent) request(limits wire.Limits) (request, error) {
	ref, err := scoring.ParseModelRef(e.Subject)
	if err != nil {
		return request{}, scoring.Errorf(scoring.Invalid, "subject: %s", scoring.AsError(err).Message)
	}
	caller, err := e.caller()
	if err != nil {
		return request{}, err
	}
	contentType, body, err := e.payload()
	if err != nil {
		return request{}, err
	}
	if isInfer(contentType, body) {
		req, opts, err := wire.DecodeInfer(body)
		if err != nil {
			return request{}, inData(err)
		}
		req.Model, req.ID, req.Caller = ref, e.ID, caller
		return request{infer: &req, timeout: opts.Timeout}, nil
	}
	req, err := wire.DecodePredict(contentType, body, limits)
	if err != nil {
		return request{}, inData(err)
	}
	req.Model, req.ID, req.Caller = ref, e.ID, caller
	return request{predict: &req}, nil
}

// caller says who asks: the key of the partitioning extension is what keeps events together
// that belong together, on one version as on one partition. Which app published an event is
// not known.
func (e cloudEvent) caller() (scoring.Caller, error) {
	key := e.PartitionKey
	if len(key) > scoring.MaxKeyLen {
		return scoring.Caller{}, scoring.Errorf(scoring.Invalid, "partitionkey is %d bytes long: at most %d are allowed", len(key), scoring.MaxKeyLen)
	}
	if at := strings.IndexFunc(key, unicode.IsControl); at >= 0 {
		return scoring.Caller{}, scoring.Errorf(scoring.Invalid, "partitionkey has a control character at offset %d: want text without any", at)
	}
	return scoring.Caller{Key: key}, nil
}

// inData says that the fault is in the event's data.
func inData(err error) error {
	e := scoring.AsError(err)
	return scoring.Errorf(e.Code, "data: %s", e.Message).WithCause(err)
}

// payload gives the event's data as a body with its content type, as if it had come over HTTP.
func (e cloudEvent) payload() (contentType string, body []byte, err error) {
	contentType = e.DataContentType
	if contentType == "" || isJSON(contentType) {
		// Without a type it is JSON, says CloudEvents; what is based on JSON is read as JSON.
		contentType = "application/json"
	}
	hasData := len(e.Data) > 0 && string(e.Data) != "null"
	switch {
	case hasData && e.DataBase64 != "":
		return "", nil, scoring.Errorf(scoring.Invalid, "the event has both data and data_base64: want one of them")
	case !hasData && e.DataBase64 == "":
		return "", nil, scoring.Errorf(scoring.Invalid, "the event has neither data nor data_base64")
	case e.DataBase64 != "":
		body, err = base64.StdEncoding.DecodeString(e.DataBase64)
		if err != nil {
			return "", nil, scoring.Errorf(scoring.Invalid, "data_base64 is not standard base64").WithCause(err)
		}
		return contentType, body, nil
	case e.Data[0] != '"':
		return "application/json", e.Data, nil
	case contentType == "application/json":
		return contentType, e.Data, nil
	}
	if body, err = wire.Unquote(e.Data); err != nil {
		return "", nil, scoring.Errorf(scoring.Invalid, "data: %s", err)
	}
	return contentType, body, nil
}

// isInfer tells a body of the Open Inference Protocol by its "inputs".
func isInfer(contentType string, body []byte) bool {
	if contentType != "application/json" {
		return false
	}
	var probe struct {
		Inputs    json.RawMessage `json:"inputs"`
		Instances json.RawMessage `json:"instances"`
	}
	return json.Unmarshal(body, &probe) == nil && probe.Inputs != nil && probe.Instances == nil
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

// deadline is the end of the event's budget; ok is false where it has none.
func (e cloudEvent) deadline() (at time.Time, ok bool, err error) {
	if e.Expiration == "" {
		return time.Time{}, false, nil
	}
	at, err = time.Parse(time.RFC3339Nano, e.Expiration)
	if err != nil {
		return time.Time{}, false, errors.New("expiration: want a time as RFC 3339 has it")
	}
	return at, true, nil
}

func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
