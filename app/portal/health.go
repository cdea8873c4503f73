package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// readyTimeout is above the three seconds in which a sidecar repeats a call to
// an app that has just gone, so that its reason is seen and not a time-out.
const readyTimeout = 4 * time.Second

// healthz says whether the portal itself can work. It asks nobody else: a
// portal is not broken because Onda is away, and restarting it would not help.
// Platforms should probe this one.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})

		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether Onda can be reached and takes work. The page shows it.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()

	resp, err := s.onda.send(ctx, &call{
		verb:      http.MethodGet,
		path:      "v2/health/ready",
		requestID: requestID(r.Context()),
	})
	if err != nil {
		f := fromError(&s.cfg, err)
		if f.Status == http.StatusGatewayTimeout {
			*f = silent(&s.cfg)
		}
		notReady(w, f)

		return
	}
	defer discard(resp)

	switch f := fromSidecar(&s.cfg, resp); {
	case f != nil:
		notReady(w, f)
	case resp.StatusCode != http.StatusOK:
		f := unhealthy(&s.cfg)
		notReady(w, &f)
	default:
		writeJSON(w, http.StatusOK, map[string]bool{"ready": true})
	}
}

// notReady is always 503, whatever the cause: "not now" is all that a probe
// wants to know.
func notReady(w http.ResponseWriter, f *fault) {
	f.Status = http.StatusServiceUnavailable
	f.write(w)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only if the caller has left
}
