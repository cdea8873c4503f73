package lifecycle

import (
	"net/http"
	"path"
	"strings"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/ingress/operator"
)

// deliveriesOnly refuses other apps that call the paths at which the sidecar delivers events, by
// service invocation: they would be answered as senders that they are not, past the rules that
// the broker has for its topics. A sidecar says who called it, and of what it delivers itself
// it says nothing. The code is 404: a publisher that writes the header into its message's
// metadata, which some brokers pass on, would have its own event tried for ever at any other.
func deliveriesOnly(next http.Handler, log zerolog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller := r.Header.Get(operator.CallerHeader); caller != "" && isDelivery(r.URL.Path) {
			log.Warn().Str("caller", operator.Clip(caller)).Str("path", operator.Clip(r.URL.Path)).Msg("refused: another app called where the sidecar delivers events")
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"events are delivered here by the sidecar alone: publish yours to the topic, or send the request to /v1/models/MODEL:predict"}` + "\n"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isDelivery says whether the sidecar delivers events at a path.
func isDelivery(name string) bool {
	name = path.Clean("/" + name)
	return name == "/events/scoring" || strings.HasPrefix(name, "/events/scoring/") || name == "/events/deadletters"
}
