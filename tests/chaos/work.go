package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/catalog"
)

const (
	// publishers publish side by side.
	publishers = 24
	// ahead is how many events may wait for their answers.
	ahead = 20_000
	// source of the events.
	source = "chaos"
)

// cloudEvents is their content type.
const cloudEvents = "application/cloudevents+json"

// requestEvent is what is published for a number.
func requestEvent(i int) []byte { return scoringEvent(strconv.Itoa(i), i) }

// scoringEvent asks about a number.
func scoringEvent(id string, i int) []byte {
	input := map[string]any{"name": "INPUT", "datatype": "FP32", "shape": []int{1, 1}, "data": []int{i}}
	if isBad(i) {
		input["data"] = []string{"no number"}
	}
	text, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "source": source, "type": "onda.score.request.v1", "subject": modelName,
		"datacontenttype": "application/json", "data": map[string]any{"inputs": []any{input}},
	})
	if err != nil {
		panic(err) //nolint:forbidigo // maps of numbers and texts
	}
	return text
}

func isBad(i int) bool { return (i+1)%badEvery == 0 }

// publishAll publishes every event, and some twice. An event counts when the sidecar said that
// the broker has it; before that it is sent again, as the same event.
func (s *stack) publishAll(ctx context.Context) error {
	numbers := make(chan int)
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for i := range numbers {
				event := requestEvent(i)
				for range 1 + copies(i) {
					if !s.publish(ctx, event) {
						return
					}
					s.ledger.published(i)
				}
			}
		})
	}
	defer all.Wait()
	defer close(numbers)
	for i := range s.options.Events {
		for published, answered := s.ledger.progress(); published-answered > ahead; published, answered = s.ledger.progress() {
			if !sleep(ctx, 10*time.Millisecond) {
				return ctx.Err()
			}
		}
		select {
		case numbers <- i:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func copies(i int) int {
	if (i+1)%twiceEvery == 0 {
		return 1
	}
	return 0
}

// publish sends an event until it is acknowledged; false when the run ended before.
func (s *stack) publish(ctx context.Context, event []byte) bool {
	for {
		status, err := s.send(ctx, http.MethodPost, s.publishURL(), cloudEvents, event)
		if err == nil && status == http.StatusNoContent {
			return true
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return false
		}
	}
}

func (s *stack) publishURL() string { return s.ownURL + "/v1.0/publish/pubsub/scoring.requests" }

// sendAgain publishes once more what nothing answered, as a sender does who must be sure, and
// waits for the answers.
func (s *stack) sendAgain(ctx context.Context) {
	missing := s.ledger.sendAgain(time.Now())
	fmt.Fprintf(s.options.Log, "sending %d events again\n", len(missing))
	for _, i := range missing {
		if !s.publish(ctx, requestEvent(i)) {
			return
		}
	}
	for end := time.Now().Add(s.options.Patience); time.Now().Before(end); {
		if _, answered := s.ledger.progress(); answered == s.options.Events || !sleep(ctx, 100*time.Millisecond) {
			return
		}
	}
}

func (s *stack) send(ctx context.Context, method, url, contentType string, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}

// sleep waits; false when the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// killAll kills parts at random moments: each moment is a number of answers, so that there is
// always work in the middle of which a part ends, and what is killed has come back before.
func (s *stack) killAll(ctx context.Context) error {
	random := rand.New(rand.NewPCG(s.options.Seed, 1)) //nolint:gosec // no secret
	programs := slices.DeleteFunc([]*program{s.onda, s.sidecar, s.broker}, func(p *program) bool {
		return s.options.Only != "" && p.name != s.options.Only
	})
	if len(programs) == 0 {
		return fmt.Errorf("there is no part %q: want onda, sidecar or %s", s.options.Only, s.server.name)
	}
	moments := make([]int, s.options.Kills)
	for i := range moments {
		moments[i] = random.IntN(max(1, s.options.Events*9/10))
	}
	slices.Sort(moments)
	for i, moment := range moments {
		if i%len(programs) == 0 {
			random.Shuffle(len(programs), func(a, b int) { programs[a], programs[b] = programs[b], programs[a] })
		}
		if !s.reached(ctx, moment) || !sleep(ctx, time.Duration(random.IntN(300))*time.Millisecond) {
			return ctx.Err()
		}
		p := programs[i%len(programs)]
		for !p.kill() { // it has not come back yet
			if !sleep(ctx, 20*time.Millisecond) {
				return ctx.Err()
			}
		}
		s.mu.Lock()
		s.killed = append(s.killed, p.name)
		s.mu.Unlock()
		fmt.Fprintf(s.options.Log, "killed %s after %d answers\n", p.name, s.answers())
	}
	return nil
}

// reached waits for a number of answers.
func (s *stack) reached(ctx context.Context, answers int) bool {
	for s.answers() < answers {
		if !sleep(ctx, 5*time.Millisecond) {
			return false
		}
	}
	return true
}

func (s *stack) answers() int {
	_, answered := s.ledger.progress()
	return answered
}

// kills lists what was killed, in that order.
func (s *stack) kills() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.killed)
}

// relabel moves the label between the versions: an event that is scored twice is then scored
// by another version often enough.
func (s *stack) relabel(ctx context.Context) error {
	accept := []string{catalog.AcceptDivergence, catalog.AcceptRolledBack, catalog.AcceptSignature, catalog.AcceptSlower}
	for version := 1; sleep(ctx, 250*time.Millisecond); version = version%versions + 1 {
		body, err := json.Marshal(map[string]any{"version": version, "accept": accept})
		if err != nil {
			return err
		}
		status, err := s.send(ctx, http.MethodPut, s.ondaURL+"/registry/v1/models/"+modelName+"/labels/live", "application/json", body)
		if err == nil && status == http.StatusOK {
			s.labels.Add(1)
		}
	}
	return nil
}
