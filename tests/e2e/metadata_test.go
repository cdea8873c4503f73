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
	Revision int64          `json:"revision"`
	Labels   map[string]int `json:"labels"`
	Serving  struct {
		InSync bool           `json:"in_sync"`
		Labels map[string]int `json:"labels"`
	} `json:"serving"`
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

// inSync waits until Onda follows the registry, and its own models are in it.
func (s *stack) inSync(t *testing.T) (all reply) {
	t.Helper()
	eventually(t, "the models are registered", func() error {
		all = get(s.onda.url() + "/registry/v1/models")
		var got records
		if err := json.Unmarshal([]byte(all.body), &got); err != nil || len(got.Models) != 2 || !got.Models[0].Serving.InSync || !got.Models[1].Serving.InSync {
			return fmt.Errorf("%d %s", all.status, clip(all.body))
		}
		return nil
	})
	return all
}

// TestMetadata reads the models' metadata back, from Onda and from the state store
// itself, and finds it unchanged after a restart.
func TestMetadata(t *testing.T) {
	group(t)
	s := startStack(t, nil)
	before := s.inSync(t)
	checkRecords(t, before)
	for _, model := range []string{imageModel, faqModel} {
		var told, stored record
		s.everyWay(t, request{path: "/registry/v1/models/" + model}).into(t, &told)
		if err := json.Unmarshal([]byte(s.stored(t, "registry:model:"+model)), &stored); err != nil {
			t.Fatal(err)
		}
		if stored.Revision != told.Revision || !reflect.DeepEqual(stored.Versions, told.Versions) {
			t.Errorf("the state store has %+v\nwhat /registry/v1/models/%s answers is %+v", stored, model, told)
		}
	}
	if index := s.stored(t, "registry:index"); !equalJSON(t, index, `{"revision":2,"models":{"faq-matching":1,"image-classification":1}}`) {
		t.Errorf("the index: %s", index)
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
	var was, is records
	before.into(t, &was)
	s.inSync(t).into(t, &is)
	if !reflect.DeepEqual(was, is) {
		t.Errorf("after a restart the registry holds\n%+v\nbefore it held\n%+v", is, was)
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
		if !ok || len(r.Versions) != 1 || len(r.Labels) != 0 || r.Serving.Labels["live"] != 1 {
			t.Errorf("%s: versions %v, labels %v, want version 1 alone, served as live, and no label that somebody set", r.Name, r.Versions, r.Serving.Labels)
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
