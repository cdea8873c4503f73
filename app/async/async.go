// Package async takes requests whose callers do not wait: a request is put on the topic that
// scoring events come from, as an event of Onda's own, and its answer is kept for the caller to
// ask for. So it waits at the broker, in the order and under the bounds of all other events,
// and is scored by whichever replica gets it, even if the one that took it is gone.
//
// It is the asynchronous request-reply pattern:
// https://learn.microsoft.com/azure/architecture/patterns/async-request-reply.
package async

import (
	"context"
	"encoding/json"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// eventType is that of all events that ask for a scoring.
const eventType = "onda.score.request.v1"

// MaxID bounds the id of a request, in bytes.
const MaxID = 200

// Publisher publishes events: see sidecar.Client, which implements it.
type Publisher interface {
	// Publish sends a CloudEvent in structured JSON to a topic.
	Publish(ctx context.Context, topic string, cloudEvent []byte) error
}

// Desk takes requests and says what became of them. It is safe for concurrent use.
type Desk struct {
	// Answers keeps the records; nil where there is no state store.
	Answers *answers.Book
	// Publisher reaches the broker; nil where there is none.
	Publisher Publisher
	// Topic that scoring events come from.
	Topic string
	// MaxBytes bounds an event, as brokers do; 0 leaves it to them.
	MaxBytes int64
}

// Request is what a caller asks.
type Request struct {
	// ID is the caller's own, under which it can ask again without being answered twice; ""
	// makes a new one. All callers share one space of ids: they should be UUIDs.
	ID string
	// Subject is the model, in the form of [scoring.ModelRef.String].
	Subject string
	// ContentType and Body are as they came over HTTP, uncompressed.
	ContentType string
	Body        []byte
	// PartitionKey keeps requests of one caller on one version; "" for none.
	PartitionKey string
	// Expiration is when the answer is worth nothing any more; zero for when it would not be
	// kept any longer.
	Expiration time.Time
	// TraceParent and TraceState are those of W3C Trace Context; "" for none.
	TraceParent, TraceState string
}

// Accepted says that a request will be answered.
type Accepted struct {
	// ID to ask for the answer with.
	ID string
	// New is false for a request that was accepted before, under the same id.
	New bool
	// Status of the request, which is not pending where it was answered before.
	Status answers.Status
}

// event is a CloudEvent in structured JSON.
type event struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Subject         string `json:"subject"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	Expiration      string `json:"expiration"`
	// Request is the fingerprint of what was asked, as the record has it: sidecars and brokers
	// may write the data anew, and an operator may put the event back when the id is another's.
	Request      string          `json:"ondarequest"`
	PartitionKey string          `json:"partitionkey,omitempty"`
	TraceParent  string          `json:"traceparent,omitempty"`
	TraceState   string          `json:"tracestate,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
	DataBase64   []byte          `json:"data_base64,omitempty"`
}

// Accept notes a request, and puts it on the topic. It can be called again with the same
// request: as long as there is no answer the event is published again, and is answered once all
// the same. So a caller whose request was not accepted for certain sends it again, under the id
// that the error names; a record that is left pending by a publish that failed does no harm, and
// is forgotten in time.
//
// The codes of errors are Invalid for an id or a body that cannot be used, TooLarge, Conflict
// for an id that was used for another request, Unimplemented where a component is missing and
// Unavailable where one is away.
func (d *Desk) Accept(ctx context.Context, req Request) (Accepted, error) {
	if err := d.check(); err != nil {
		return Accepted{}, err
	}
	given := req.ID != ""
	if !given {
		req.ID = uuid.NewString()
	} else if err := CheckID(req.ID); err != nil {
		return Accepted{}, err
	}
	message, err := d.encode(req)
	if err != nil {
		return Accepted{}, err
	}
	accepted, err := d.expect(ctx, req, given)
	if err != nil || accepted.Status != answers.Pending {
		return accepted, err
	}
	err = d.Publisher.Publish(ctx, d.Topic, message)
	switch {
	case err == nil:
		return accepted, nil
	case scoring.CodeOf(err) == scoring.TooLarge:
		// It stays too large: whoever asks for it, or sends it again, hears that. Where this cannot
		// be noted the next one who sends it notes it.
		_ = d.fail(ctx, answers.Key{Source: answers.AsyncSource, ID: req.ID}, req.fingerprint(), req.Subject, scoring.AsError(err))
		return Accepted{}, err
	case ctx.Err() != nil:
		return Accepted{}, ctx.Err()
	default:
		return Accepted{}, scoring.Errorf(scoring.Unavailable, "the request could not be put on its topic: send it again, with the header idempotency-key: %s", req.ID).WithCause(err)
	}
}

// check says which component is missing.
func (d *Desk) check() error {
	switch {
	case d.Publisher == nil:
		return scoring.Errorf(scoring.Unimplemented, "asynchronous requests need a pub/sub component, and there is none: set ONDA_PUBSUB, or send the request without the header prefer")
	case d.Answers == nil:
		return scoring.Errorf(scoring.Unimplemented, "asynchronous requests need a state store that answers are kept in, and there is none: set ONDA_STATE_STORE and ONDA_ANSWER_TTL, or send the request without the header prefer")
	}
	return nil
}

// expect writes the record of a request, which comes before its event: an answer must find it.
// A request whose id is given may have one.
func (d *Desk) expect(ctx context.Context, req Request, given bool) (Accepted, error) {
	key, fingerprint := answers.Key{Source: answers.AsyncSource, ID: req.ID}, req.fingerprint()
	var record *answers.Record
	var err error
	if given {
		if record, err = d.newest(ctx, key); err != nil {
			return Accepted{}, err
		}
	}
	isNew := record == nil
	if isNew {
		if record, err = d.Answers.Keep(ctx, key, answers.Record{Status: answers.Pending, Request: fingerprint, Expires: req.Expiration.UTC()}); err != nil {
			return Accepted{}, err
		}
	}
	if record.Request != fingerprint {
		return Accepted{}, scoring.Errorf(scoring.Conflict, "the idempotency-key %q was used before, for another request: want a new one, such as a UUID, for each request", req.ID)
	}
	return Accepted{ID: req.ID, New: isNew, Status: record.Status}, nil
}

// fingerprint tells what is asked.
func (r *Request) fingerprint() string {
	return answers.Fingerprint(r.Subject, r.ContentType, string(r.Body))
}

// CheckID says whether id can be that of a request: 1 to [MaxID] of the characters A-Z a-z 0-9
// . _ : - and a letter or digit first, as it becomes a part of a path that a sidecar would
// otherwise rewrite. The error is Invalid.
func CheckID(id string) error {
	if id == "" || len(id) > MaxID {
		return scoring.Errorf(scoring.Invalid, "the idempotency-key is %d bytes long: want 1 to %d, such as a UUID", len(id), MaxID)
	}
	for i := range len(id) {
		c := id[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("._:-", rune(c))) {
			return scoring.Errorf(scoring.Invalid, "the idempotency-key has a character at offset %d that is not allowed there: use letters, digits, '.', '_', ':' and '-', a letter or digit first", i)
		}
	}
	return nil
}

// encode makes the event of a request.
func (d *Desk) encode(req Request) ([]byte, error) {
	now := time.Now()
	if req.Expiration.IsZero() {
		req.Expiration = now.Add(d.Answers.TTL)
	}
	e := event{
		SpecVersion: "1.0", ID: req.ID, Source: answers.AsyncSource, Type: eventType, Subject: req.Subject,
		Time: now.UTC().Format(time.RFC3339Nano), DataContentType: req.ContentType, Expiration: req.Expiration.UTC().Format(time.RFC3339Nano),
		Request: req.fingerprint(), PartitionKey: req.PartitionKey, TraceParent: req.TraceParent, TraceState: req.TraceState,
	}
	if err := e.carry(req.ContentType, req.Body); err != nil {
		return nil, err
	}
	message, err := wire.Marshal(e)
	if err != nil {
		return nil, scoring.InternalError(err)
	}
	if d.MaxBytes > 0 && int64(len(message)) > d.MaxBytes {
		return nil, scoring.Errorf(scoring.TooLarge, "the request has %d bytes as an event: at most %d are allowed; send it without the header prefer", len(message), d.MaxBytes)
	}
	return message, nil
}

// carry puts the body into the event, as readable as its type and its numbers allow.
func (e *event) carry(contentType string, body []byte) (err error) {
	media, _, _ := mime.ParseMediaType(contentType) // what is no type is carried as it is
	switch {
	case media == "application/json":
		if !json.Valid(body) || !utf8.Valid(body) {
			return scoring.Errorf(scoring.Invalid, "the body is not JSON, as its content type says")
		}
		if hasLongNumber(body) {
			e.DataBase64 = body
			break
		}
		e.Data = body
	case strings.HasPrefix(media, "text/") && utf8.Valid(body):
		e.Data, err = wire.Marshal(string(body))
	default:
		e.DataBase64 = body
	}
	return err
}

// hasLongNumber says whether JSON may have an integer beyond 2^53, of 16 digits or more. A sidecar
// reads the events of a bulk delivery as floating-point numbers and writes them anew, which
// changes such integers; base64 it leaves alone.
func hasLongNumber(body []byte) bool {
	const exact = 15
	digits := 0
	for _, c := range body {
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if digits > exact {
			return true
		}
	}
	return false
}
