package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"
)

// record is a model's document in the state store.
type record struct {
	Name     string         `json:"name"`
	Labels   map[string]int `json:"labels"`
	Versions map[string]struct {
		Version      int       `json:"version"`
		Digest       string    `json:"digest"`
		Licence      string    `json:"licence"`
		Pipeline     string    `json:"pipeline"`
		Inputs       []tensor  `json:"inputs"`
		Outputs      []tensor  `json:"outputs"`
		SizeBytes    int64     `json:"size_bytes"`
		RegisteredAt time.Time `json:"registered_at"`
	} `json:"versions"`
}

// records is what GET /registry/v1/models answers.
type records struct {
	Models []record `json:"models"`
}

const recorded = "model metadata recorded in the state store"

// TestMetadata reads the models' metadata back, from Onda and from the state store
// itself, and finds it unchanged after a restart.
func TestMetadata(t *testing.T) {
	group(t)
	s := startStack(t, nil)
	s.onda.logs(t, recorded)

	before := s.everyWay(t, request{path: "/registry/v1/models"})
	checkRecords(t, before)
	for _, model := range []string{imageModel, faqModel} {
		one := s.everyWay(t, request{path: "/registry/v1/models/" + model})
		one.into(t, new(record))
		if stored := s.stored(t, "model:"+model); !equalJSON(t, stored, one.body) {
			t.Errorf("state model:%s: %s\nwant what /registry/v1/models/%s answers: %s", model, clip(stored), model, clip(one.body))
		}
	}
	if index := s.stored(t, "models"); index != `{"models":["faq-matching","image-classification"]}` {
		t.Errorf("state models: %s", index)
	}
	const unknown = `{"error":"model \"none\" is not in the registry: GET /registry/v1/models lists what is"}`
	if got := s.everyWay(t, request{path: "/registry/v1/models/none"}); got.status != http.StatusNotFound || got.body != unknown {
		t.Errorf("unknown model: %d %s, want 404 %s", got.status, got.body, unknown)
	}

	// Time must pass, or an unchanged time of registration would prove nothing.
	registered := newest(t, before)
	eventually(t, "the clock moves on", func() error {
		if !time.Now().After(registered.Add(time.Second)) {
			return fmt.Errorf("still %s", registered)
		}
		return nil
	})
	s.onda.end(t)
	s.own.end(t)
	s.onda.start(t)
	s.own.start(t)
	s.ready(t)
	s.onda.logs(t, recorded)
	if after := s.everyWay(t, request{path: "/registry/v1/models"}); after.body != before.body {
		t.Errorf("after a restart the registry holds\n%s\nbefore it held\n%s", after.body, before.body)
	}
}

// stored reads a document from the sidecar's state API, which has the key in its path.
func (s *stack) stored(t *testing.T, key string) string {
	t.Helper()
	got := get(s.own.api("state/statestore/" + key))
	if err := wants(http.StatusOK, got); err != nil {
		t.Fatalf("state %s: %s", key, err)
	}
	return got.body
}

// equalJSON compares values: a store may write keys in another order.
func equalJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func checkRecords(t *testing.T, got reply) {
	t.Helper()
	var all records
	got.into(t, &all)
	var names []string
	for _, r := range all.Models {
		names = append(names, r.Name)
		v, ok := r.Versions["1"]
		if !ok || len(r.Versions) != 1 || r.Labels["live"] != 1 {
			t.Errorf("%s: versions %v, labels %v, want version 1 alone, and live", r.Name, r.Versions, r.Labels)
		}
		if v.Version != 1 || v.Digest == "" || v.Licence == "" || v.Pipeline == "" || v.SizeBytes == 0 || len(v.Inputs) == 0 || len(v.Outputs) == 0 {
			t.Errorf("%s: the record is incomplete: %+v", r.Name, v)
		}
		if age := time.Since(v.RegisteredAt); age < -time.Second || age > patience {
			t.Errorf("%s: registered at %s", r.Name, v.RegisteredAt)
		}
	}
	if !slices.Equal(names, []string{faqModel, imageModel}) {
		t.Errorf("the registry lists %v", names)
	}
}

// newest is the last time of registration.
func newest(t *testing.T, got reply) (last time.Time) {
	t.Helper()
	var all records
	if err := json.Unmarshal([]byte(got.body), &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all.Models {
		for _, v := range r.Versions {
			if v.RegisteredAt.After(last) {
				last = v.RegisteredAt
			}
		}
	}
	return last
}
