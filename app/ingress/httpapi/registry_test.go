package httpapi_test

import (
	"io"
	"net/http"
	"testing"
)

func TestTheRegistryHasADoorOfItsOwn(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) {
		r.parts.Registry = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
		})
	})
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		expect(t, r.call(t, method, "/registry/v1/models/m", ""), http.StatusTeapot, method+" /registry/v1/models/m")
	}
}

func TestHealthTellsHowTheRegistryIsFollowed(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) {
		r.parts.Following = func() any { return map[string]any{"in_sync": false, "store": "unreachable since noon"} }
	})
	got := r.call(t, "GET", "/healthz", "")
	expect(t, got, 200, `{"ready":true,"registry":{"in_sync":false,"store":"unreachable since noon"}}`)
}
