package lifecycle

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestDeliveriesOnly: what other apps invoke never reaches the paths of the sidecar's deliveries.
func TestDeliveriesOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, caller string
		code         int
	}{
		{"/events/scoring", "", http.StatusOK},
		{"/events/scoring/faq", "", http.StatusOK},
		{"/events/deadletters", "", http.StatusOK},
		{"/events/scoring", "shop", http.StatusNotFound},
		{"/events/scoring/faq/labels/live", "shop", http.StatusNotFound},
		{"/events//scoring/", "shop", http.StatusNotFound},
		{"/x/../events/deadletters", "shop", http.StatusNotFound},
		{"/events/v1/deadletters", "shop", http.StatusOK},
		{"/events/scorings", "shop", http.StatusOK},
		{"/v1/models/faq:predict", "shop", http.StatusOK},
	} {
		var log bytes.Buffer
		reached := false
		door := deliveriesOnly(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), zerolog.New(&log))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tt.path, strings.NewReader("{}"))
		if tt.caller != "" {
			r.Header.Set("dapr-caller-app-id", tt.caller)
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		refused := tt.code == http.StatusNotFound
		if w.Code != tt.code || reached == refused || strings.Contains(log.String(), `"caller":"shop"`) != refused {
			t.Errorf("%s for %q: got %d, reached %t, log %s", tt.path, tt.caller, w.Code, reached, &log)
		}
	}
}
