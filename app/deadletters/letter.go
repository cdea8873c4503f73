// Package deadletters keeps the events that could not be answered, so that operators can list
// them, look at one, and put it back once its cause is mended.
//
// A dead-letter topic alone does not do: most brokers can neither be searched nor give an
// event out twice, and after some days it is gone unseen. So whatever is delivered on that
// topic is kept in the state store, as a document of its own with an index beside it. The
// pattern is that of a dead letter channel with a message store:
// https://www.enterpriseintegrationpatterns.com/DeadLetterChannel.html.
package deadletters

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// State of a letter.
type State string

// The states.
const (
	// Waiting letters were not put back.
	Waiting State = "waiting"
	// Replaying ones are being put back, or were when somebody was interrupted.
	Replaying State = "replaying"
	// Replayed ones were put back. If their event fails again, that is another letter.
	Replayed State = "replayed"
)

// States lists them all.
func States() []State { return []State{Waiting, Replaying, Replayed} }

// Who made a letter.
const (
	// ByOnda means an error event, which says why the original was refused.
	ByOnda = "onda"
	// BySidecar means an original that the sidecar put on the topic when its retries were
	// used up.
	BySidecar = "sidecar"
)

// Undelivered is the code of letters by the sidecar: nobody wrote down why they failed.
const Undelivered = "Undelivered"

// Codes lists what a letter's code can be.
func Codes() []string {
	all := []string{Undelivered}
	for _, code := range scoring.Codes() {
		all = append(all, code.String())
	}
	return all
}

// Letter is an event that could not be answered.
type Letter struct {
	// ID is the same for every delivery of the letter: hexadecimal digits.
	ID string `json:"id"`
	// At is when it was first delivered.
	At time.Time `json:"at"`
	// Code is the name of a scoring code, or [Undelivered].
	Code string `json:"code"`
	// Error says what was wrong.
	Error string `json:"error,omitempty"`
	// Model is the subject of the event: a model, perhaps with a version or a label.
	Model string `json:"model,omitempty"`
	// RequestID is the event's id. Long texts of an event are cut, here and in the next one.
	RequestID string `json:"request_id,omitempty"`
	// RequestSource is the event's source.
	RequestSource string `json:"request_source,omitempty"`
	// By is [ByOnda] or [BySidecar].
	By string `json:"by"`
	// Replay is the number that the event was put back with before it failed; 0 for one that
	// was not put back.
	Replay int `json:"replay,omitempty"`

	// State of the letter.
	State State `json:"state"`
	// Replays counts how often the letter was put back.
	Replays int `json:"replays"`
	// LastReplay is the number that it was put back with last; 0 for none.
	LastReplay int `json:"last_replay,omitempty"`
	// ReplayedAt is when it was put back last.
	ReplayedAt time.Time `json:"replayed_at,omitzero"`
	// ReplayedBy is who asked for the last replay, as the caller called itself; "" for none. Of
	// one that was interrupted it is who began it: who went on is in the log.
	ReplayedBy string `json:"replayed_by,omitempty"`
	// Note says what was left out of the event when it was put back.
	Note string `json:"note,omitempty"`

	// Original is the event as it came, where it was JSON.
	Original json.RawMessage `json:"original,omitempty"`
	// OriginalBytes is the event as it came, where it was not.
	OriginalBytes []byte `json:"original_base64,omitempty"`
}

// idOf is the ID of the letter of an event that failed after it was put back with a number.
// What was asked is a part of it: a sender that counts from 1 again sends other events with
// the same ids, and none of them must hide another.
func idOf(source, id string, replay int, question string) string {
	return digest("event", source, id, strconv.Itoa(replay), question)
}

// digest gives the first 16 bytes of a hash of texts in hexadecimal digits: enough to tell
// letters apart, and short enough to be typed.
func digest(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		// The length keeps "a" and "bc" apart from "ab" and "c".
		hash.Write([]byte(strconv.Itoa(len(part)) + ":"))
		hash.Write([]byte(part))
	}
	return hex.EncodeToString(hash.Sum(nil)[:idBytes])
}

// idBytes is the length of an ID, before it is written in digits.
const idBytes = 16

// checkID refuses what is no ID before it becomes part of a key.
func checkID(id string) error {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != idBytes || strings.ToLower(id) != id {
		return scoring.Errorf(scoring.Invalid, "dead letter %q: want its id, %d hexadecimal digits such as the list has", clip(id, 64), 2*idBytes)
	}
	return nil
}

// clip bounds a text, in bytes.
func clip(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
