package events

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// outgoing is a CloudEvent that Onda publishes. The extension attributes name the event
// that it answers.
type outgoing struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	RequestID       string          `json:"requestid,omitempty"`
	RequestSource   string          `json:"requestsource,omitempty"`
	Replay          string          `json:"ondareplay,omitempty"` // of the request
	ModelVersion    string          `json:"modelversion,omitempty"`
	ModelDigest     string          `json:"modeldigest,omitempty"`
	TraceID         string          `json:"traceid,omitempty"` // without it, Dapr replaces traceparent
	TraceParent     string          `json:"traceparent,omitempty"`
	TraceState      string          `json:"tracestate,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// source of the events that Onda publishes.
const source = "onda"

// answer makes the parts that result and error events share. The id follows from the
// request's source and id, which only together tell one event from all others: a
// repeated delivery gives an event with the same id, so that receivers can tell that
// they have seen it, and two senders that both count from 1 do not give the same. What an
// operator put back is answered anew, and by another event, which must not be taken for seen,
// and which says so itself.
func answer(event cloudEvent, kind, suffix string, data []byte) outgoing {
	replay := ""
	if event.replay > 0 {
		replay = strconv.Itoa(event.replay)
		suffix += "/" + replay
	}
	return outgoing{
		SpecVersion: "1.0", ID: event.Source + "#" + event.ID + suffix, Source: source, Type: kind, Subject: event.Subject,
		Time: time.Now().UTC().Format(time.RFC3339Nano), DataContentType: "application/json",
		RequestID: event.ID, RequestSource: event.Source, Replay: replay,
		TraceID: event.TraceParent, TraceParent: event.TraceParent, TraceState: event.TraceState, Data: data,
	}
}

func (c *Consumer) result(event cloudEvent, model scoring.ModelID, data []byte) ([]byte, error) {
	out := answer(event, ResultType, "/result", data)
	out.ModelVersion = wire.ModelOf(model).Version
	out.ModelDigest = model.Digest
	return wire.Marshal(out)
}

// errorData is the data of an error event.
type errorData struct {
	// Code is the name of the scoring code.
	Code string `json:"code"`
	// Error says what was wrong and what would be right.
	Error string `json:"error"`
	// Original is the event as it came, where it was JSON.
	Original json.RawMessage `json:"original,omitempty"`
	// OriginalBytes is the event as it came, where it was no JSON.
	OriginalBytes []byte `json:"original_base64,omitempty"`
}

func (c *Consumer) errorEvent(event cloudEvent, original []byte, e *scoring.Error) ([]byte, error) {
	event.ID, event.Source, event.Subject = short(event.ID), short(event.Source), short(event.Subject)
	data := errorData{Code: e.Code.String(), Error: e.Message}
	if json.Valid(original) && utf8.Valid(original) {
		data.Original = original
		letter, err := c.encodeError(event, original, data)
		if err == nil {
			return letter, nil
		}
		// An original nested as deeply as encoding/json reads can be no part of anything.
		data.Original = nil
	}
	data.OriginalBytes = original
	return c.encodeError(event, original, data)
}

func (c *Consumer) encodeError(event cloudEvent, original []byte, data errorData) ([]byte, error) {
	encoded, err := wire.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode error event: %w", err)
	}
	out := answer(event, ErrorType, "/error", encoded)
	switch {
	case event.ID != "" && event.Source != "":
	case original != nil:
		// Nothing tells this event from others but its bytes.
		out.ID = fmt.Sprintf("unreadable-%x/error", sha256.Sum256(original))
	default:
		out.ID = "unreadable-" + uuid.NewString() + "/error"
	}
	return wire.Marshal(out)
}

// short bounds an attribute that was refused for its length, and still says what it was.
func short(attribute string) string {
	if len(attribute) <= maxAttribute {
		return attribute
	}
	return clip(attribute)
}
