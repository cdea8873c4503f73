package async_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/async"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a state store with ETags that count from 1.
type store struct {
	mu    sync.Mutex
	texts map[string][]byte
	etags map[string]int
	fault error
}

func (s *store) Get(_ context.Context, key string) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil || s.etags[key] == 0 {
		return nil, "", s.fault
	}
	return s.texts[key], strconv.Itoa(s.etags[key]), nil
}

func (s *store) SaveFor(_ context.Context, key string, value []byte, etag string, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := ""
	if n := s.etags[key]; n > 0 {
		there = strconv.Itoa(n)
	}
	switch {
	case s.fault != nil:
		return s.fault
	case there != etag:
		return scoring.Errorf(scoring.Conflict, "stale")
	case s.texts == nil:
		s.texts, s.etags = map[string][]byte{}, map[string]int{}
	}
	s.texts[key] = value
	s.etags[key]++
	return nil
}

// broker keeps what is published.
type broker struct {
	mu     sync.Mutex
	topics []string
	events []map[string]any
	fault  error
}

func (b *broker) Publish(_ context.Context, topic string, cloudEvent []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil {
		return b.fault
	}
	var event map[string]any
	if err := json.Unmarshal(cloudEvent, &event); err != nil {
		return err
	}
	b.topics, b.events = append(b.topics, topic), append(b.events, event)
	return nil
}

// rig is a desk on fakes.
type rig struct {
	async.Desk

	store  store
	broker broker
}

func newRig() *rig {
	r := &rig{}
	r.Desk = async.Desk{Answers: &answers.Book{Store: &r.store, TTL: time.Hour}, Publisher: &r.broker, Topic: "requests"}
	return r
}

// answer does what the door of events does with an answer.
func (r *rig) answer(t *testing.T, id string, status answers.Status, event string) {
	t.Helper()
	key := answers.Key{Source: answers.AsyncSource, ID: id}
	record, err := r.Answers.Find(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	kept := answers.Record{Status: status, Event: json.RawMessage(event)}
	if record != nil {
		kept.Request = record.Request
	}
	if _, err := r.Answers.Keep(t.Context(), key, kept); err != nil {
		t.Fatal(err)
	}
}

// refused checks code and public text of an error.
func refused(t *testing.T, err error, code scoring.Code, texts ...string) {
	t.Helper()
	if scoring.CodeOf(err) != code {
		t.Errorf("got %v, want the code %s", err, code)
		return
	}
	for _, text := range texts {
		if message := scoring.AsError(err).Message; !strings.Contains(message, text) {
			t.Errorf("got %q, want %q in it", message, text)
		}
	}
}

// question is a request that can be asked.
func question(id string) async.Request {
	return async.Request{ID: id, Subject: "faq", ContentType: "application/json", Body: []byte(`{"instances": ["How?"]}`)}
}
