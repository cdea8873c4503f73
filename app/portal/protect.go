package portal

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// contentPolicy allows what the page is made of, its own files, and nothing
// else: no script or style in the HTML, no other host. Pictures may come from
// the browser's memory, for the preview. Trusted types make the browser refuse
// every attempt to turn text into markup.
const contentPolicy = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; " +
	"form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// protect wraps next with what every request goes through, from the outside
// in: a log line, headers, and two checks of where the request comes from.
func (s *Server) protect(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		(&fault{Status: http.StatusForbidden, Message: "Only the portal's own page may send this."}).write(w)
	}))
	next = origin.Handler(next)
	if isLoopback(s.cfg.Listen) {
		next = localOnly(next)
	}

	return s.observe(secure(next))
}

// secure sets the headers that hold for every answer.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store") // the page and its files say otherwise
		next.ServeHTTP(w, r)
	})
}

// localOnly refuses requests for any other host. Without it a web site could
// let its name point to this machine and read the portal as its own origin.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			(&fault{
				Status:  http.StatusMisdirectedRequest,
				Message: "This portal answers on this machine only.",
				Hint:    "Open it as http://localhost, or set PORTAL_LISTEN to serve others.",
			}).write(w)

			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback says whether a host, with or without a port, is this machine.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)

	return err == nil && ip.IsLoopback()
}

type requestIDKey struct{}

// requestID is the id under which the portal and Onda log the same request.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)

	return id
}

// observe writes one line per request: what, how it ended, how long. Never the
// question or the picture: those belong to the person.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, id := time.Now(), rand.Text()
		log := s.log.With().Str("request", id).Logger()
		ctx := context.WithValue(log.WithContext(r.Context()), requestIDKey{}, id)
		w.Header().Set("X-Request-Id", id)

		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r.WithContext(ctx))

		log.WithLevel(level(r)).Str("method", r.Method).Str("path", r.URL.Path).Int("status", rec.status).
			Int64("bytes", rec.bytes).Dur("ms", time.Since(start)).Msg("request")
	})
}

// level keeps probes, which come every few seconds, out of the usual log.
func level(r *http.Request) zerolog.Level {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		return zerolog.InfoLevel
	}

	return zerolog.DebugLevel
}

// recorder remembers how a request was answered, for the log.
type recorder struct {
	http.ResponseWriter

	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)

	return n, err //nolint:wrapcheck // a decorator adds nothing
}

// Unwrap lets http.ResponseController reach the original.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
