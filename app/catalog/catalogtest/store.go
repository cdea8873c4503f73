// Package catalogtest has a state store in memory for tests of what reads and writes the
// registry's documents.
package catalogtest

import (
	"context"
	"strconv"
	"sync"

	"github.com/onda-serving/onda/app/scoring"
)

// The operations that a hook hears of: see [Store.Fail].
const (
	// OpGet is a read.
	OpGet = "get"
	// OpSave is a write before it takes effect.
	OpSave = "save"
	// OpSaved is a write after it took effect: an error hides that it did.
	OpSaved = "saved"
)

// Store is a state store in memory, with ETags of which the first writer wins, as with Dapr.
// It implements catalog.Store. The zero value is empty and ready for use, and safe for
// concurrent use.
type Store struct {
	mu          sync.Mutex
	documents   map[string]document
	writes      int
	fail        func(op, key string) error
	gets, saves int
}

type document struct {
	value []byte
	etag  string
}

// Fail sets a hook that is asked before each read, and before and after each write; its
// errors become those of the store. It may block, and must be safe for concurrent use. Nil
// takes it away.
func (s *Store) Fail(hook func(op, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = hook
}

func (s *Store) ask(op, key string) error {
	s.mu.Lock()
	hook := s.fail
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, key)
}

// Get reads a document; both results are empty where there is none.
func (s *Store) Get(ctx context.Context, key string) (value []byte, etag string, err error) {
	s.count(&s.gets)
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	if err := s.ask(OpGet, key); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.documents[key]
	return append([]byte(nil), d.value...), d.etag, nil
}

// Save writes a document if its ETag is still etag, "" for one that must be new; otherwise the
// error's code is Conflict.
func (s *Store) Save(ctx context.Context, key string, value []byte, etag string) error {
	s.count(&s.saves)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.ask(OpSave, key); err != nil {
		return err
	}
	if err := s.write(key, value, etag); err != nil {
		return err
	}
	return s.ask(OpSaved, key)
}

func (s *Store) write(key string, value []byte, etag string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents[key].etag != etag {
		return scoring.Errorf(scoring.Conflict, "%q changed in the meantime: read it again", key)
	}
	s.put(key, value)
	return nil
}

// put must be called with the lock held. No two writes share an ETag, not even of two keys.
func (s *Store) put(key string, value []byte) {
	if s.documents == nil {
		s.documents = map[string]document{}
	}
	s.writes++
	s.documents[key] = document{value: append([]byte(nil), value...), etag: strconv.Itoa(s.writes)}
}

// Put writes a document whatever is there, as an operator could; nil takes it away.
func (s *Store) Put(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == nil {
		delete(s.documents, key)
		return
	}
	s.put(key, value)
}

// Documents gives a copy of all documents by their keys.
func (s *Store) Documents() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string][]byte, len(s.documents))
	for key, d := range s.documents {
		all[key] = append([]byte(nil), d.value...)
	}
	return all
}

// Gets counts the reads so far, failed ones included.
func (s *Store) Gets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets
}

// Saves counts the writes so far, failed ones included.
func (s *Store) Saves() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

func (s *Store) count(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}
