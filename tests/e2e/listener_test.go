package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// event is a CloudEvent with the attributes that Onda adds.
type event struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	TraceParent     string          `json:"traceparent"`
	RequestID       string          `json:"requestid"`
	RequestSource   string          `json:"requestsource"`
	ModelVersion    string          `json:"modelversion"`
	ModelDigest     string          `json:"modeldigest"`
	Data            json.RawMessage `json:"data"`

	// text is the event as it came.
	text []byte
}

// listener collects what arrives on a topic.
type listener struct {
	topic string

	mu     sync.Mutex
	last   time.Time // when the last event came
	events []event
	err    error

	// acknowledging is held while the stream is written to.
	acknowledging sync.Mutex
	stream        *dapr.Subscription
}

// listen follows a topic through a sidecar, as an app does with Dapr's SDK. Raw payloads bring
// the whole CloudEvent: otherwise the SDK gives only its data.
func listen(t *testing.T, port int, component, topic string) *listener {
	t.Helper()
	conn, err := grpc.NewClient(local(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	// The test's own context ends before its cleanup, and would cut off what is in delivery.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	stream, err := dapr.NewClientWithConnection(conn).Subscribe(ctx, dapr.SubscriptionOptions{
		PubsubName: component, Topic: topic, Metadata: map[string]string{"rawPayload": "true"},
	})
	if err != nil {
		cancel()
		t.Fatalf("subscribe to %s: %s", topic, err)
	}
	l := &listener{topic: topic, stream: stream, last: time.Now()}
	var done sync.WaitGroup
	done.Go(l.receive)
	t.Cleanup(func() {
		l.close()
		cancel()
		_ = conn.Close()
		done.Wait()
	})
	return l
}

// close ends the subscription when nothing is on its way any more: the sidecar tries an event
// that it could not deliver again for minutes, and does not end before that.
func (l *listener) close() {
	const quiet, patience = 200 * time.Millisecond, 2 * time.Second
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(quiet / 10) {
		l.mu.Lock()
		last := l.last
		l.mu.Unlock()
		if time.Since(last) >= quiet {
			break
		}
	}
	l.acknowledging.Lock()
	defer l.acknowledging.Unlock()
	_ = l.stream.Close() // it fails for a sidecar that is gone, which is then what was wanted
}

// receive takes events until the subscription ends. An event that is seen is acknowledged.
func (l *listener) receive() {
	for {
		message, err := l.stream.Receive()
		if err != nil {
			return
		}
		l.acknowledging.Lock()
		err = message.Success()
		l.acknowledging.Unlock()
		l.add(bytes.Clone(message.RawData))
		if err != nil {
			return
		}
	}
}

func (l *listener) add(text []byte) {
	e := event{text: text}
	err := json.Unmarshal(text, &e)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events, l.last = append(l.events, e), time.Now()
	if err != nil {
		l.err = fmt.Errorf("an event on %s is not a CloudEvent: %w: %s", l.topic, err, text)
	}
}

// about gives the events that answer a request, or are it.
func (l *listener) about(t *testing.T, id string) (found []event) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		t.Fatal(l.err)
	}
	for _, e := range l.events {
		if e.RequestID == id || e.ID == id {
			found = append(found, e)
		}
	}
	return found
}

// wait waits for the event that answers a request.
func (l *listener) wait(t *testing.T, id string) event {
	t.Helper()
	return l.waitFor(t, id, 1)[0]
}

// waitFor waits for a number of events about a request.
func (l *listener) waitFor(t *testing.T, id string, count int) (found []event) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d events about %s on %s", count, id, l.topic), func() error {
		if found = l.about(t, id); len(found) == 0 {
			return errors.New("nothing came")
		} else if len(found) < count {
			return fmt.Errorf("%d came", len(found))
		}
		return nil
	})
	return found
}
