package httpapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// fakeStore is a state store of fixed documents.
type fakeStore struct {
	documents map[string]string
	err       error
}

func (s fakeStore) Get(_ context.Context, key string) ([]byte, string, error) {
	return []byte(s.documents[key]), "1", s.err
}

func (s fakeStore) Save(context.Context, string, []byte, string) error { return s.err }

func TestRegistryReadsTheStateStore(t *testing.T) {
	t.Parallel()
	const version = `{"version":1,"digest":"sha256:d","provenance":{"source":"","script":"","framework":"","created":""},"pipeline":"none","inputs":null,"outputs":null,"size_bytes":5,"registered_at":"2026-01-02T03:04:05Z"}`
	const record = `{"name":"m","labels":{"live":1},"versions":{"1":` + version + `}}`
	r := start(t, func(r *rig) {
		r.parts.Store = fakeStore{documents: map[string]string{"models": `{"models":["m"]}`, "model:m": record}}
	})
	expect(t, r.call(t, "GET", "/registry/v1/models", ""), 200, `{"models":[`+record+`]}`)
	expect(t, r.call(t, "GET", "/registry/v1/models/m", ""), 200, record)
	expect(t, r.call(t, "GET", "/registry/v1/models/x", ""), 404, failure(`model "x" is not in the registry: GET /registry/v1/models lists what is`))
}

func TestRegistryWithoutItsStore(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.parts.Store = fakeStore{err: errors.New("redis://secret: refused")} })
	for _, path := range []string{"/registry/v1/models", "/registry/v1/models/m"} {
		got := r.call(t, "GET", path, "")
		expect(t, got, 503, failure("the state store does not answer: the server's log has the details"))
		if strings.Contains(got.body, "secret") || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: body %s, Retry-After %q", path, got.body, got.header.Get("Retry-After"))
		}
	}
}
