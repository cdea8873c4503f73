package deadletters

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// errorType is the type of the events with which Onda says why it refused one.
const errorType = "onda.score.error.v1"

// Bounds of the texts that a letter repeats from an event, in bytes: anybody can write one.
const (
	maxText  = 1024
	maxError = 4096
	maxCode  = 64
)

// envelope is a CloudEvent, as far as letters are made of it.
type envelope struct {
	SpecVersion   string          `json:"specversion"`
	ID            string          `json:"id"`
	Source        string          `json:"source"`
	Type          string          `json:"type"`
	Subject       string          `json:"subject"`
	RequestID     string          `json:"requestid"`
	RequestSource string          `json:"requestsource"`
	Replay        json.RawMessage `json:"ondareplay"`
	Data          json.RawMessage `json:"data"`

	// The rest is compared and not read.
	DataContentType json.RawMessage `json:"datacontenttype"`
	DataBase64      json.RawMessage `json:"data_base64"`
	DataRef         json.RawMessage `json:"dataref"`
	DataRefSHA256   json.RawMessage `json:"datarefsha256"`
}

// question tells whether two events ask the same, however it is written.
func (e envelope) question() string {
	return digest(e.Subject, canonical(e.DataContentType), canonical(e.Data), canonical(e.DataBase64), canonical(e.DataRef), canonical(e.DataRefSHA256))
}

// canonical writes a JSON value in one way: a broker's parts may change spaces, escapes and
// the order of keys.
func canonical(raw json.RawMessage) string {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // a float64 would make one of two numbers
	var value any
	if decoder.Decode(&value) != nil {
		return string(raw)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return string(raw)
	}
	return string(text)
}

// refusal is the data of an error event.
type refusal struct {
	Code          string          `json:"code"`
	Error         string          `json:"error"`
	Original      json.RawMessage `json:"original"`
	OriginalBytes []byte          `json:"original_base64"`
}

// Read makes a letter of what was delivered on the dead-letter topic, whatever it is. When it
// was delivered is for the caller to say.
func Read(body []byte) Letter {
	body = unwrapped(body)
	event, ok := parse(body)
	if ok && event.Type == errorType {
		var why refusal
		if json.Unmarshal(event.Data, &why) == nil && why.Code != "" {
			return storable(refused(event, why, body))
		}
	}
	l := Letter{
		Code: Undelivered, By: BySidecar, State: Waiting,
		Error: "the event was not taken however often it was delivered, and nobody wrote down why: see the log of that time",
	}
	l.keep(body)
	if ok && event.named() {
		l.about(event)
		return storable(l)
	}
	l.Error = "what was delivered is no CloudEvent with an id and a source, and cannot be put back"
	l.ID = digest("bytes", string(body))
	return storable(l)
}

// wrapperType is what Dapr writes for messages that have no type of their own.
const wrapperType = "com.dapr.event.sent"

// unwrapped is the event that was published. A subscription to raw messages gets each of them
// wrapped by Dapr, and with the wrapping it would be wrapped twice when it is put back.
func unwrapped(body []byte) []byte {
	event, ok := parse(body)
	var inner []byte
	if !ok || event.Type != wrapperType || json.Unmarshal(event.DataBase64, &inner) != nil {
		return body
	}
	if _, ok := parse(inner); !ok {
		return body
	}
	return inner
}

// Oversized makes a letter of what was larger than what is kept, of so many bytes with this
// hash: somebody must hear of it, and delivered again it would be as large.
func Oversized(size, most int64, sum [sha256.Size]byte) Letter {
	l := Letter{Code: scoring.TooLarge.String(), By: BySidecar, State: Waiting}
	l.ID = digest("oversized", hex.EncodeToString(sum[:]))
	l.Error = "the event was not kept: it has " + strconv.FormatInt(size, 10) + " bytes, and at most " + strconv.FormatInt(most, 10) + " are allowed"
	return l
}

// refused makes the letter of an error event.
func refused(event envelope, why refusal, body []byte) Letter {
	l := Letter{Code: clip(why.Code, maxCode), Error: clip(why.Error, maxError), By: ByOnda, State: Waiting}
	l.Model, l.RequestID, l.RequestSource = clip(event.Subject, maxText), clip(event.RequestID, maxText), clip(event.RequestSource, maxText)
	switch {
	case len(why.Original) > 0 && string(why.Original) != "null":
		l.keep(why.Original)
	case len(why.OriginalBytes) > 0:
		l.OriginalBytes = why.OriginalBytes
	}
	original, ok := parse(l.Original)
	switch {
	case ok && original.named():
		l.about(original)
	case len(l.Original) > 0 || len(l.OriginalBytes) > 0:
		l.ID = digest("bytes", string(l.Original), string(l.OriginalBytes))
	case event.RequestID != "" && event.RequestSource != "":
		l.Replay = replayOf(event.Replay)
		l.ID = idOf(event.RequestSource, event.RequestID, l.Replay, "")
	default:
		l.ID = digest("bytes", string(body))
	}
	return l
}

// about says which event the letter is of.
func (l *Letter) about(event envelope) {
	l.Replay = replayOf(event.Replay)
	l.ID = idOf(event.Source, event.ID, l.Replay, event.question())
	l.RequestID, l.RequestSource, l.Model = clip(event.ID, maxText), clip(event.Source, maxText), clip(event.Subject, maxText)
}

// keep holds on to the original.
func (l *Letter) keep(original []byte) {
	if json.Valid(original) && utf8.Valid(original) {
		l.Original = original
		return
	}
	l.OriginalBytes = original
}

// storable gives l in a form that can be written as JSON: an original that is nested as deeply
// as can be read is no part of anything else.
func storable(l Letter) Letter {
	if len(l.Original) == 0 {
		return l
	}
	if text, err := wire.Marshal(l); err != nil || json.Unmarshal(text, new(Letter)) != nil {
		l.OriginalBytes, l.Original = l.Original, nil
	}
	return l
}

// parse reads an event; ok is false for what is no CloudEvent. Attributes of another kind than
// they should have make it none.
func parse(body []byte) (e envelope, ok bool) {
	if len(body) == 0 || !utf8.Valid(body) || json.Unmarshal(body, &e) != nil {
		return envelope{}, false
	}
	return e, strings.HasPrefix(e.SpecVersion, "1.")
}

// named says whether the event can be told from others.
func (e envelope) named() bool { return e.ID != "" && e.Source != "" }

// replayOf reads the number of a replay; 0 for none, and for what is no such number.
func replayOf(raw json.RawMessage) int {
	text := string(raw)
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
		return 0
	}
	// 31 bits: the next number is one too, on every machine.
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
