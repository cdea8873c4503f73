package load

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// state is what is known of an event that was published.
type state struct {
	// answer is where its first answer goes; nil when nobody waits for it any more.
	answer   chan error
	answered bool
}

// mailbox sorts answers to those who wait for them, and keeps account. It is safe for
// concurrent use.
type mailbox struct {
	mu     sync.Mutex
	prefix string // of the ids: answers to other runs arrive, too
	events map[string]*state
	counts Delivery
}

func newMailbox() *mailbox {
	m := &mailbox{}
	m.forget()
	return m
}

// forget begins anew: what was expected is another run's from here on.
func (m *mailbox) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prefix, m.events, m.counts = rand.Text()[:8], map[string]*state{}, Delivery{}
}

// expect gives the id of a new event, and where its answer will be: nil for a result.
func (m *mailbox) expect() (id string, answer <-chan error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id = fmt.Sprintf("%s-%010d", m.prefix, len(m.events))
	s := &state{answer: make(chan error, 1)}
	m.events[id] = s
	m.counts.Published++
	return id, s.answer
}

// refused takes back that an event was published.
func (m *mailbox) refused(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.events[id]; s != nil && !s.answered {
		m.counts.Published--
		s.answered = true // should it be answered after all, nobody cares
	}
}

// lose notes that an event was waited for in vain.
func (m *mailbox) lose(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.events[id]; s != nil && !s.answered {
		m.counts.Lost++
		s.answer = nil
	}
}

// delivery is the account so far.
func (m *mailbox) delivery() Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// heard is as much of an answer as matters. What the sidecar itself puts on the dead-letter
// topic is the event as it was, without a request's id.
type heard struct {
	ID        string          `json:"id"`
	RequestID string          `json:"requestid"`
	Data      json.RawMessage `json:"data"`
}

// hear takes an event that came on a topic.
func (m *mailbox) hear(text []byte, deadLetter bool) {
	var h heard
	if err := json.Unmarshal(text, &h); err != nil {
		return // it answers nothing, and what it should have answered will be missed
	}
	id := h.RequestID
	if id == "" {
		id = h.ID
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.events[id]
	if !strings.HasPrefix(id, m.prefix) || s == nil {
		return
	}
	if s.answered {
		m.counts.Duplicates++
		return
	}
	s.answered = true
	var err error
	if deadLetter {
		m.counts.DeadLetters++
		err = fmt.Errorf("an event was answered by an error: %.300s", h.Data)
	}
	if s.answer != nil {
		s.answer <- err // it has room for the first
	}
}
