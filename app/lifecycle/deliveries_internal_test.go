package lifecycle

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/scoring"
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
		var counted []error
		reached := false
		door := deliveriesOnly(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), func(err error) { counted = append(counted, err) }, zerolog.New(&log))
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
		if refused != (len(counted) == 1) || refused && scoring.AsError(counted[0]).Refusal() != "denied" {
			t.Errorf("%s for %q: counted %v", tt.path, tt.caller, counted)
		}
	}
}

// TestForgeriesAreLoggedSeldom, as another app decides how many there are, and under how many names.
func TestForgeriesAreLoggedSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		counted := 0
		door := deliveriesOnly(http.NotFoundHandler(), func(error) { counted++ }, zerolog.New(&log))
		call := func(caller string) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events/scoring", nil)
			r.Header.Set("dapr-caller-app-id", caller)
			door.ServeHTTP(httptest.NewRecorder(), r)
		}
		for range 10 {
			call("shop")
			call("till")
			time.Sleep(time.Second)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 || counted != 20 {
			t.Errorf("%d lines and %d counted of 20 calls by two apps", lines, counted)
		}
		time.Sleep(time.Minute)
		log.Reset()
		for i := range 1000 {
			call(fmt.Sprint("app-", i))
		}
		if lines := strings.Count(log.String(), "\n"); lines != mostCallers || counted != 1020 {
			t.Errorf("%d lines of 1000 callers, %d counted", lines, counted)
		}
	})
}
