package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// subscriptions tells the run's own sidecar what to deliver.
const subscriptions = `[{"pubsubname": "pubsub", "topic": "` + resultsTopic + `", "route": "/heard/` + resultsTopic + `"},
{"pubsubname": "pubsub", "topic": "` + deadLetterTopic + `", "route": "/heard/` + deadLetterTopic + `"}]`

// listen serves the run's own sidecar, which delivers answers here.
func (s *stack) listen(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.subscriberAddress)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, subscriptions)
	})
	mux.HandleFunc("POST /heard/{topic}", s.hear)
	s.subscriber = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.running.spawn(func() error {
		if err := s.subscriber.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	s.running.spawn(func() error {
		<-ctx.Done()
		return s.subscriber.Close()
	})
	return nil
}

// hear takes one answer. Without a body of its own, 200 says that it arrived.
func (s *stack) hear(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError) // it comes again
		return
	}
	if err := s.ledger.hear(r.PathValue("topic"), text); err != nil {
		fmt.Fprintln(s.options.Log, err)
	}
}
