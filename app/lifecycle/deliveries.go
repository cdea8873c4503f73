package lifecycle

import (
	"maps"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// deliveriesOnly refuses other apps that call the paths at which the sidecar delivers events, by
// service invocation: they would be answered as senders that they are not, past the rules that
// the broker has for its topics. A sidecar says who called it, and of what it delivers itself
// it says nothing. The code is 404: a publisher that writes the header into its message's
// metadata, which some brokers pass on, would have its own event tried for ever at any other.
// Each of them is counted by refused, and one in a minute of each caller is logged.
func deliveriesOnly(next http.Handler, refused func(error), log zerolog.Logger) http.Handler {
	told := seldom{every: time.Minute, most: mostCallers}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller := r.Header.Get(operator.CallerHeader); caller != "" && isDelivery(r.URL.Path) {
			refused(scoring.Errorf(scoring.Denied, "another app called where the sidecar delivers events"))
			if told.first(operator.Clip(caller), time.Now()) {
				log.Warn().Str("caller", operator.Clip(caller)).Str("path", operator.Clip(r.URL.Path)).Msg("refused: another app called where the sidecar delivers events")
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"events are delivered here by the sidecar alone: publish yours to the topic, or send the request to /v1/models/MODEL:predict"}` + "\n"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// mostCallers bounds what is remembered of callers: their names are theirs to choose.
const mostCallers = 64

// seldom tells what is worth a line in the log from what was said a moment ago. It is safe for
// concurrent use; its fields are set before.
type seldom struct {
	// every is the least time between two lines about one name; most bounds the names.
	every time.Duration
	most  int

	mu   sync.Mutex
	last map[string]time.Time
}

// first says whether nothing was said about name for a while. Where too many names came in that
// time nothing more is said about new ones: the counter goes on.
func (s *seldom) first(name string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.last, func(_ string, at time.Time) bool { return now.Sub(at) >= s.every })
	if _, known := s.last[name]; known || len(s.last) >= s.most {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[name] = now
	return true
}

// isDelivery says whether the sidecar delivers events at a path.
func isDelivery(name string) bool {
	name = path.Clean("/" + name)
	return name == "/events/scoring" || strings.HasPrefix(name, "/events/scoring/") || name == "/events/deadletters"
}
