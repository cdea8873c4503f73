// Package answers remembers what was answered, so that a request that comes again is answered
// the same way. Brokers deliver at least once: without a memory, a repeated event would be
// scored a second time, perhaps by another version, and its sender would have two answers that
// contradict each other. The pattern is that of an idempotent receiver:
// https://www.enterpriseintegrationpatterns.com/IdempotentReceiver.html.
//
// A record is written with first-write-wins before its answer is published, so whatever
// happens between the two, and whoever else scores the same request at the same time, only
// one answer ever leaves.
package answers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// AsyncSource is the source of the requests of callers who do not want to wait. Nothing is
// published for them: the caller reads the record.
const AsyncSource = "onda/async"

// Key tells a request from all others.
type Key struct {
	// Source and ID are those of its event, which are unique together, says CloudEvents.
	Source, ID string
	// Replay counts how often the request was put back by an operator, who wants it answered
	// anew; 0 for one that was not.
	Replay int
}

// String is the key's document in the state store. It is a digest: a source and an id are
// longer than what stores take, and may have any character.
func (k Key) String() string {
	hash := sha256.New()
	for _, part := range []string{k.Source, k.ID, strconv.Itoa(k.Replay)} {
		// The length keeps "a" and "bc" apart from "ab" and "c".
		hash.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return "answer:" + hex.EncodeToString(hash.Sum(nil))
}

// Status of a record.
type Status string

// The statuses. The last two are for ever.
const (
	// Pending says that the request was accepted and has no answer yet.
	Pending Status = "pending"
	// Done says that it was scored.
	Done Status = "done"
	// Failed says that it was not, and that no retry can mend it.
	Failed Status = "failed"
)

// Record is what is remembered of a request.
type Record struct {
	// Status of the request.
	Status Status `json:"status"`
	// Request is the [Fingerprint] of what was asked.
	Request string `json:"request,omitempty"`
	// Event is the answer as it is published: a CloudEvent in structured JSON.
	Event json.RawMessage `json:"event,omitempty"`
	// At is when the record was written.
	At time.Time `json:"at"`
	// Expires is when a request that is pending is worth nothing any more; zero for never.
	Expires time.Time `json:"expires,omitzero"`

	// Follow is the replay whose answer the caller gets in the place of this one; nil for none.
	Follow *Follow `json:"follow,omitempty"`
}

// Follow says that a request was answered anew.
type Follow struct {
	// Replay is that of the answer's [Key].
	Replay int `json:"replay"`
	// Status of that answer.
	Status Status `json:"status"`
}

// Fingerprint tells whether two requests with the same key ask the same: a sender that counts
// from 1 again after a restart must not get the answer to another question.
func Fingerprint(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write([]byte(strconv.Itoa(len(part)) + ":"))
		hash.Write([]byte(part))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// Store keeps documents for a time: see sidecar.Client, which implements it.
type Store interface {
	// Get reads a document and its ETag. For a missing one both are empty.
	Get(ctx context.Context, key string) (value []byte, etag string, err error)
	// SaveFor writes a document that the store forgets after ttl, if the one there has the
	// ETag; "" means that there must be none. If it has another, the error has code Conflict.
	SaveFor(ctx context.Context, key string, value []byte, etag string, ttl time.Duration) error
}

// Book is the memory. It is safe for concurrent use.
type Book struct {
	// Store of the records.
	Store Store
	// TTL is how long a record is kept: longer than a broker goes on delivering an event.
	TTL time.Duration
}

// Find gives the record under key; nil if there is none.
func (b *Book) Find(ctx context.Context, key Key) (*Record, error) {
	r, _, err := b.read(ctx, key)
	return r, err
}

// Keep records an answer, or with the status Pending that a request was accepted, and gives the
// record that stands: that one, or the one that was there before. A request that is answered
// stays so, and one that is known is not accepted anew. When it fails, r may be there all the
// same: the request comes again, and finds it.
func (b *Book) Keep(ctx context.Context, key Key, r Record) (*Record, error) {
	// A record changes once, from pending: whoever loses three times met a store that forgets.
	const tries = 3
	r.At = time.Now().UTC().Truncate(time.Millisecond)
	text, err := encode(&r)
	if err != nil {
		return nil, err
	}
	etag := ""
	for range tries {
		err = b.Store.SaveFor(ctx, key.String(), text, etag, b.TTL)
		if err == nil {
			return &r, nil
		}
		if scoring.CodeOf(err) != scoring.Conflict {
			return nil, away(err)
		}
		var there *Record
		if there, etag, err = b.read(ctx, key); err != nil {
			return nil, err
		}
		if there != nil && (there.Status != Pending || r.Status == Pending) {
			return there, nil
		}
		if there != nil && there.Follow != nil {
			r.Follow = there.Follow
			if text, err = encode(&r); err != nil {
				return nil, err
			}
		}
	}
	return nil, away(err)
}

func (b *Book) read(ctx context.Context, key Key) (*Record, string, error) {
	text, etag, err := b.Store.Get(ctx, key.String())
	switch {
	case err != nil:
		return nil, "", away(err)
	case len(text) == 0:
		return nil, "", nil
	}
	r, err := decode(text)
	return r, etag, err
}

// encode writes a record. Its event stays as it is, to the byte: json.Marshal would write
// "\u003c" for "<", and an answer that is published again would not be the one that was before.
func encode(r *Record) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return nil, scoring.InternalError(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// decode reads a record. One that cannot be read is not taken for none: that would answer the
// request a second time.
func decode(text []byte) (*Record, error) {
	var r Record
	err := json.Unmarshal(text, &r)
	if err == nil && r.Status != Pending && r.Status != Done && r.Status != Failed {
		return nil, scoring.Errorf(scoring.Internal, "a record of an answer has the status %q: it was written by another version of Onda", clip(string(r.Status)))
	}
	if err != nil {
		return nil, scoring.Errorf(scoring.Internal, "a record of an answer cannot be read").WithCause(err)
	}
	return &r, nil
}

func clip(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

// away is the error of a store that does not answer: the request must come again. What is too
// large for the store is that however often it comes.
func away(err error) error {
	if scoring.CodeOf(err) == scoring.TooLarge {
		return err
	}
	return scoring.Errorf(scoring.Unavailable, "the state store does not answer, and without it a repeated event would be answered twice").WithCause(err)
}
