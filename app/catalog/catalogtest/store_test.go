package catalogtest_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/scoring"
)

var _ catalog.Store = (*catalogtest.Store)(nil)

func TestFirstWriteWins(t *testing.T) {
	t.Parallel()
	var s catalogtest.Store
	value, etag, err := s.Get(t.Context(), "k")
	if len(value) > 0 || etag != "" || err != nil {
		t.Errorf("got %q, %q, %v where there is nothing", value, etag, err)
	}
	save := func(value, etag string, want scoring.Code) {
		t.Helper()
		if got := scoring.CodeOf(s.Save(t.Context(), "k", []byte(value), etag)); got != want {
			t.Errorf("save %s with the ETag %q: got code %v, want %v", value, etag, got, want)
		}
	}
	save("a", "1", scoring.Conflict)
	save("b", "", 0)
	save("c", "", scoring.Conflict)
	_, etag, _ = s.Get(t.Context(), "k")
	save("d", etag, 0)
	save("e", etag, scoring.Conflict)
	value, _, _ = s.Get(t.Context(), "k")
	if string(value) != "d" {
		t.Errorf("got %q, want d", value)
	}
	value[0] = 'x' // is the reader's own
	if got := string(s.Documents()["k"]); got != "d" {
		t.Errorf("got %q, want d", got)
	}
	if s.Gets() != 3 || s.Saves() != 5 {
		t.Errorf("%d gets and %d saves, want 3 and 5", s.Gets(), s.Saves())
	}
}

func TestOneOfManyWins(t *testing.T) {
	t.Parallel()
	var s catalogtest.Store
	var writers sync.WaitGroup
	won := make(chan bool, 20)
	for range 20 {
		writers.Go(func() { won <- s.Save(t.Context(), "k", []byte("v"), "") == nil })
	}
	writers.Wait()
	close(won)
	winners := 0
	for w := range won {
		if w {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d writers made the same new document, want 1", winners)
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	var s catalogtest.Store
	broken := errors.New("broken")
	var asked []string
	at := catalogtest.OpGet
	s.Fail(func(op, key string) error {
		asked = append(asked, op+" "+key)
		if op == at {
			return broken
		}
		return nil
	})
	if _, _, err := s.Get(t.Context(), "k"); !errors.Is(err, broken) {
		t.Errorf("get: %v", err)
	}
	at = catalogtest.OpSave
	if err := s.Save(t.Context(), "k", nil, ""); !errors.Is(err, broken) || len(s.Documents()) != 0 {
		t.Errorf("save: %v, with %v in the store", err, s.Documents())
	}
	at = catalogtest.OpSaved
	if err := s.Save(t.Context(), "k", []byte("v"), ""); !errors.Is(err, broken) || string(s.Documents()["k"]) != "v" {
		t.Errorf("saved: %v, with %v in the store", err, s.Documents())
	}
	if want := []string{"get k", "save k", "save k", "saved k"}; !slices.Equal(asked, want) {
		t.Errorf("the hook was asked %q, want %q", asked, want)
	}
	s.Fail(nil)
	s.Put("k", nil)
	if value, etag, err := s.Get(t.Context(), "k"); len(value) > 0 || etag != "" || err != nil {
		t.Errorf("got %q, %q, %v after it was taken away", value, etag, err)
	}
}
