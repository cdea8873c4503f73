package events

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
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
	// DataRef is where the data is, of an event that does not carry it: the claim check of
	// https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/dataref.md.
	DataRef string `json:"dataref"`
	// DataRefSHA256 is what must be there, in 64 hexadecimal digits.
	DataRefSHA256 string `json:"datarefsha256"`
	// Replay is the number of times that an operator has put the event back.
	Replay string `json:"ondareplay"`
	// Request is the fingerprint of an asynchronous request, from before it was an event.
	Request string `json:"ondarequest"`

	replay int
	// span is the event's in its trace; the zero value where nothing is traced.
	span spans.Span
}

// parse reads a structured CloudEvent, with the subject that stands in for a missing one, and
// gives it as its sender wrote it. The error is an [scoring.Error] with code Invalid.
func parse(body []byte, subject string) (e cloudEvent, original []byte, err error) {
	e, original, err = read(body)
	if err != nil {
		return e, original, err
	}
	if e.Subject == "" {
		e.Subject = subject
	}
	return e, original, e.check()
}

// read decodes an event. A subscription to raw messages gets each of them wrapped by Dapr:
// where a message is a CloudEvent itself, that is the one that is meant, and the original. With
// the wrapping it would be wrapped twice when an operator puts it back.
func read(body []byte) (e cloudEvent, original []byte, err error) {
	e, err = decode(body)
	if err != nil || e.Type != daprType || e.DataBase64 == "" {
		return e, body, err
	}
	inner, err := base64.StdEncoding.DecodeString(e.DataBase64)
	if err != nil {
		return e, body, nil //nolint:nilerr // whoever reads the data says what is wrong with it
	}
	if wrapped, err := decode(inner); err == nil && wrapped.SpecVersion != "" {
		return wrapped, inner, nil
	}
	return e, body, nil
}

func decode(body []byte) (cloudEvent, error) {
	var e cloudEvent
	if !utf8.Valid(body) {
		// encoding/json would put other characters in the place of the invalid bytes.
		return e, scoring.Errorf(scoring.Invalid, "the event is not valid UTF-8")
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, scoring.Errorf(scoring.Invalid, "the event is not a CloudEvent in structured JSON").WithCause(err)
	}
	return e, nil
}

// check says what is wrong with the attributes.
func (e *cloudEvent) check() (err error) {
	switch {
	case !strings.HasPrefix(e.SpecVersion, "1."):
		return scoring.Errorf(scoring.Invalid, `specversion %q: want "1.0"`, clip(e.SpecVersion))
	case e.ID == "" || e.Source == "":
		return scoring.Errorf(scoring.Invalid, "the event has no id or no source: both are needed to tell events apart")
	case len(e.ID) > maxAttribute || len(e.Source) > maxAttribute:
		return scoring.Errorf(scoring.TooLarge, "the event's id or source is longer than %d bytes", maxAttribute)
	case e.Type != RequestType && e.Type != daprType:
		return scoring.Errorf(scoring.Invalid, "type %q: want %q", clip(e.Type), RequestType)
	case e.Subject == "":
		return scoring.Errorf(scoring.Invalid, `the event has no subject: want "MODEL", "MODEL/versions/N" or "MODEL/labels/L"`)
	}
	if e.Replay == "" {
		return nil
	}
	if e.replay, err = strconv.Atoi(e.Replay); err != nil || e.replay < 1 {
		return scoring.Errorf(scoring.Invalid, "ondareplay %q: want a positive whole number, as the replay of a dead letter sets it", clip(e.Replay))
	}
	return nil
}

// key tells the event from all others.
func (e *cloudEvent) key() answers.Key {
	return answers.Key{Source: e.Source, ID: e.ID, Replay: e.replay}
}

// fingerprint tells what the event asks. Its time and its trace are those of a message, which
// a sender that tries again makes anew.
func (e *cloudEvent) fingerprint() string {
	if e.Source == answers.AsyncSource && e.Request != "" {
		return e.Request
	}
	return answers.Fingerprint(e.Subject, e.DataContentType, string(e.Data), e.DataBase64, e.DataRef, e.DataRefSHA256)
}

// asked says whether a record is of this event, and not of another one with its id and source:
// a sender may count from 1 again, and a caller use an idempotency key again once its record is
// forgotten. An asynchronous request that does not say what it asks was written by an older
// version of Onda, and its record, which is of the request, cannot be compared with the event.
func (e *cloudEvent) asked(record *answers.Record) bool {
	return e.Source == answers.AsyncSource && e.Request == "" || record.Request == e.fingerprint()
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

// payload is the data of an event as a body with its content type, as if it had come over HTTP.
type payload struct {
	contentType string
	body        []byte
	// release gives back the memory of data that was fetched; nil where nothing was read yet.
	release func()
}

// giveBack ends the use of what was read, if anything was.
func (p *payload) giveBack() {
	if p.release != nil {
		p.release()
	}
}

// request reads what e asks for, and into data what it asks it of, unless that is there already:
// who waits for room fetches nothing a second time.
func (e *cloudEvent) request(ctx context.Context, limits wire.Limits, fetcher Fetcher, data *payload) (request, error) {
	ref, err := scoring.ParseModelRef(e.Subject)
	if err != nil {
		return request{}, scoring.Errorf(scoring.Invalid, "subject: %s", scoring.AsError(err).Message)
	}
	caller, err := e.caller()
	if err != nil {
		return request{}, err
	}
	if data.release == nil {
		loaded, err := e.load(ctx, fetcher)
		if err != nil {
			return request{}, err
		}
		*data = loaded
	}
	r, err := decodeRequest(data.contentType, data.body, limits)
	if err != nil {
		return request{}, inData(err)
	}
	if r.infer != nil {
		r.infer.Model, r.infer.ID, r.infer.Caller = ref, e.ID, caller
	} else {
		r.predict.Model, r.predict.ID, r.predict.Caller = ref, e.ID, caller
	}
	return r, nil
}

// decodeRequest reads the data of an event.
func decodeRequest(contentType string, body []byte, limits wire.Limits) (request, error) {
	if isInfer(contentType, body) {
		req, opts, err := wire.DecodeInfer(body)
		return request{infer: &req, timeout: opts.Timeout}, err
	}
	req, err := wire.DecodePredict(contentType, body, limits)
	return request{predict: &req}, err
}

// load gives the event's data, from where it is.
func (e *cloudEvent) load(ctx context.Context, fetcher Fetcher) (payload, error) {
	if e.DataRef == "" {
		contentType, body, err := e.carried()
		return payload{contentType, body, func() {}}, err
	}
	switch {
	case len(e.Data) > 0 && string(e.Data) != "null" || e.DataBase64 != "":
		return payload{}, scoring.Errorf(scoring.Invalid, "the event has both data and dataref: want one of them")
	case e.DataRefSHA256 == "":
		return payload{}, scoring.Errorf(scoring.Invalid, "the event has dataref without datarefsha256: want the SHA-256 of what is there, in 64 hexadecimal digits")
	case fetcher == nil:
		return payload{}, scoring.Errorf(scoring.Unimplemented, "this server takes no data by reference: its setting ONDA_EVENT_SOURCES names no place that may be read")
	}
	body, release, err := fetcher.Fetch(ctx, e.DataRef, e.DataRefSHA256)
	if err != nil {
		return payload{}, scoring.Errorf(scoring.CodeOf(err), "dataref: %s", scoring.AsError(err).Message).WithCause(err)
	}
	return payload{e.contentType(), body, release}, nil
}

// contentType is that of the data: without one it is JSON, says CloudEvents, and what is based
// on JSON is read as JSON.
func (e *cloudEvent) contentType() string {
	if e.DataContentType == "" || isJSON(e.DataContentType) {
		return "application/json"
	}
	return e.DataContentType
}

// caller says who asks: the key of the partitioning extension is what keeps events together
// that belong together, on one version as on one partition. Which app published an event is
// not known.
func (e *cloudEvent) caller() (scoring.Caller, error) {
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

// carried gives the data that is in the event itself.
func (e *cloudEvent) carried() (contentType string, body []byte, err error) {
	contentType = e.contentType()
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
func (e *cloudEvent) deadline() (at time.Time, ok bool, err error) {
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
