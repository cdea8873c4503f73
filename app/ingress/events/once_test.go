package events_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// memory is a state store that can fail: answers.Book's in one map.
type memory struct {
	mu      sync.Mutex
	records map[answers.Key]answers.Record
	// find and keep are the errors of the calls; with lost, a record is kept all the same.
	find, keep error
	lost       bool
	// before is called before a record is kept.
	before func()
}

func (m *memory) Find(_ context.Context, key answers.Key) (*answers.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[key]; ok && m.find == nil {
		return &r, nil
	}
	return nil, m.find
}

func (m *memory) Keep(_ context.Context, key answers.Key, r answers.Record) (*answers.Record, error) {
	if m.before != nil {
		m.before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keep != nil && !m.lost {
		return nil, m.keep
	}
	if m.records == nil {
		m.records = map[answers.Key]answers.Record{}
	}
	if there, ok := m.records[key]; ok && there.Status != answers.Pending {
		return &there, m.keep
	}
	m.records[key] = r
	return &r, m.keep
}

// Answered is tested with a real book: see TestAsyncReplay.
func (m *memory) Answered(context.Context, answers.Key, *answers.Record) error { return nil }

// versions is a scorer whose model is another version with each call.
type versions struct {
	scorer

	calls int
}

func (v *versions) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	resp, err := v.scorer.Predict(ctx, req)
	if err == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.calls++
		resp.Model.Version, resp.Model.Digest = int64(v.calls), fmt.Sprintf("sha256:d%d", v.calls)
	}
	return resp, err
}

// remembering makes a door that remembers, in front of a model that changes all the time.
func remembering() (*door, *memory, *versions) {
	d, m, v := &door{}, &memory{}, &versions{}
	d.handler = d.made(events.Parts{Scorer: v, Answers: m})
	return d, m, v
}

// TestCrashWindows ends the process, the sidecar, the store or the broker at every moment of
// a delivery, and delivers again: each row of the table in the package's comment.
func TestCrashWindows(t *testing.T) {
	t.Parallel()
	away := scoring.Errorf(scoring.Unavailable, "the state store does not answer")
	tests := []struct {
		name  string
		first func(d *door, m *memory) // what fails in the first delivery
		// sent are the events that leave in the first delivery and in both.
		sent, all int
		version   string
	}{
		{"before the answer is kept", func(_ *door, m *memory) { m.keep = away }, 0, 1, `"modelversion":"2"`},
		{"the record cannot be read", func(_ *door, m *memory) { m.find = away }, 0, 1, `"modelversion":"2"`},
		{"kept, and nobody hears of it", func(_ *door, m *memory) { m.keep, m.lost = away, true }, 0, 1, `"modelversion":"1"`},
		{"kept, and not yet published", func(d *door, _ *memory) { d.publisher.err = errBroker }, 0, 1, `"modelversion":"1"`},
		{"published, and not acknowledged", func(*door, *memory) {}, 1, 2, `"modelversion":"1"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, m, _ := remembering()
			tt.first(d, m)
			first := d.deliver(t, event(predictData))
			if len(d.publisher.messages) != tt.sent || (first == "SUCCESS") != (tt.sent > 0) {
				t.Fatalf("the first delivery ended with %s and %d events, want %d", first, len(d.publisher.messages), tt.sent)
			}
			m.find, m.keep, m.lost, d.publisher.err = nil, nil, false, nil
			if again := d.deliver(t, event(predictData)); again != "SUCCESS" {
				t.Fatalf("the second delivery ended with %s", again)
			}
			if len(d.publisher.messages) != tt.all {
				t.Fatalf("%d events left, want %d", len(d.publisher.messages), tt.all)
			}
			for _, sent := range d.publisher.messages {
				if sent.topic != results || !bytes.Equal(sent.body, d.publisher.messages[0].body) || !strings.Contains(string(sent.body), tt.version) {
					t.Errorf("sent %s to %s, want the same each time, of %s", sent.body, sent.topic, tt.version)
				}
			}
		})
	}
}

// TestTwoAtOnce: whoever else scores the same event at the same time, one answer leaves.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	d, m, _ := remembering()
	const deliveries = 8
	var gate sync.WaitGroup
	gate.Add(deliveries)
	m.before = func() { gate.Done(); gate.Wait() } // all have scored before one is kept
	var all sync.WaitGroup
	for range deliveries {
		all.Go(func() {
			if status := d.handler.Deliver(context.Background(), []byte(event(predictData)), "").Status; status != "SUCCESS" {
				t.Errorf("got %s", status)
			}
		})
	}
	all.Wait()
	if len(d.publisher.messages) != deliveries {
		t.Fatalf("%d events left", len(d.publisher.messages))
	}
	for _, sent := range d.publisher.messages {
		if !bytes.Equal(sent.body, d.publisher.messages[0].body) {
			t.Errorf("one got %s, another %s", d.publisher.messages[0].body, sent.body)
		}
	}
}

// TestFailureStands until an operator puts the event back.
func TestFailureStands(t *testing.T) {
	t.Parallel()
	d, _, v := remembering()
	v.err = scoring.Errorf(scoring.NotFound, "there is no model")
	d.deliver(t, event(predictData))
	v.err = nil
	d.deliver(t, event(predictData))
	if n := len(d.publisher.messages); n != 2 || d.publisher.messages[1].topic != deadLetters || !bytes.Equal(d.publisher.messages[0].body, d.publisher.messages[1].body) {
		t.Fatalf("got %s, want the same error twice", d.publisher.messages)
	}
	for range 2 {
		if status := d.deliver(t, event(predictData, `, "ondareplay": "1"`)); status != "SUCCESS" {
			t.Fatalf("got %s", status)
		}
	}
	if n := len(d.publisher.messages); n != 4 || d.publisher.messages[2].topic != results || !bytes.Equal(d.publisher.messages[2].body, d.publisher.messages[3].body) {
		t.Fatalf("got %s, want the result twice", d.publisher.messages[2:])
	}
	d.observed(t, "dead_letter NotFound", "repeated OK", "scored OK", "repeated OK")
}

// TestIDThatWasUsedBefore for another question does not get the answer to that.
func TestIDThatWasUsedBefore(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]string{
		"other data":  event(`, "data": {"instances": ["Why?"]}`),
		"other model": strings.Replace(event(predictData), `"faq"`, `"faq/labels/canary"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _, _ := remembering()
			d.deliver(t, event(predictData))
			d.publisher.messages, d.observer.seen = nil, nil
			d.refused(t, d.deliver(t, other), scoring.Conflict, "another event with this id and source came before, with another subject or other data: want an id that is new for each event of a source")
		})
	}
	// A sender that tries again makes the time and the trace anew.
	d, _, _ := remembering()
	d.deliver(t, event(predictData, `, "time": "2026-01-01T00:00:00Z", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`))
	d.deliver(t, event(predictData, `, "time": "2026-01-01T00:00:01Z"`))
	d.observed(t, "scored OK", "repeated OK")
}

// TestAsync keeps the answer for the caller, and publishes nothing.
func TestAsync(t *testing.T) {
	t.Parallel()
	d, m, v := remembering()
	body := strings.Replace(event(predictData), `"shop"`, `"onda/async"`, 1)
	key := answers.Key{Source: answers.AsyncSource, ID: "7"}
	m.records = map[answers.Key]answers.Record{key: {Status: answers.Pending, Request: "of the HTTP request"}}
	for range 2 {
		if status := d.deliver(t, body); status != "SUCCESS" || len(d.publisher.messages) != 0 {
			t.Fatalf("got %s, and %s published", status, d.publisher.messages)
		}
	}
	if r := m.records[key]; r.Status != answers.Done || r.Request != "of the HTTP request" || !strings.Contains(string(r.Event), `"modelversion":"1"`) {
		t.Errorf("kept %s: %s", r.Status, r.Event)
	}
	v.err = scoring.Errorf(scoring.Invalid, "no such input")
	key.ID = "8"
	d.deliver(t, strings.Replace(body, `"7"`, `"8"`, 1))
	if r := m.records[key]; r.Status != answers.Failed || !strings.Contains(string(r.Event), "no such input") || len(d.publisher.messages) != 0 {
		t.Errorf("kept %s: %s, and %s published", r.Status, r.Event, d.publisher.messages)
	}
}

// documents is a state store that can be away from one write to the next.
type documents struct {
	texts map[string][]byte
	etags map[string]int
	saves int
	// bad is the number of the write that fails; 0 for none.
	bad int
}

func (s *documents) Get(_ context.Context, key string) ([]byte, string, error) {
	if s.etags[key] == 0 {
		return nil, "", nil
	}
	return s.texts[key], strconv.Itoa(s.etags[key]), nil
}

func (s *documents) SaveFor(_ context.Context, key string, value []byte, etag string, _ time.Duration) error {
	if s.saves++; s.saves == s.bad {
		return errors.New("gone")
	}
	if n := s.etags[key]; n > 0 && strconv.Itoa(n) != etag || n == 0 && etag != "" {
		return scoring.Errorf(scoring.Conflict, "stale")
	}
	s.texts[key] = value
	s.etags[key]++
	return nil
}

// TestAsyncReplay has a caller who knows nothing of replays find the newest answer, although
// each of them has a record of its own that never changes.
func TestAsyncReplay(t *testing.T) {
	t.Parallel()
	d, v := &door{}, &versions{}
	store := &documents{texts: map[string][]byte{}, etags: map[string]int{}}
	book := &answers.Book{Store: store, TTL: time.Hour}
	d.handler = d.made(events.Parts{Scorer: v, Answers: book})
	key := answers.Key{Source: answers.AsyncSource, ID: "7"}
	deliver := func(more, want string) {
		t.Helper()
		body := strings.Replace(event(predictData, `, "ondarequest": "asked"`, more), `"shop"`, `"onda/async"`, 1)
		if status := d.deliver(t, body); status != want || len(d.publisher.messages) != 0 {
			t.Fatalf("got %s, and %s published, want %s", status, d.publisher.messages, want)
		}
	}
	finds := func(status answers.Status, text string) {
		t.Helper()
		r, err := book.Newest(t.Context(), key)
		if err != nil || r == nil || r.Status != status || !strings.Contains(string(r.Event), text) {
			t.Fatalf("got %+v, %v, want %s %s", r, err, status, text)
		}
	}
	if _, err := book.Keep(t.Context(), key, answers.Record{Status: answers.Pending, Request: "asked"}); err != nil {
		t.Fatal(err)
	}
	// The sidecar gave the first delivery up, and the first replay fails.
	v.err = scoring.Errorf(scoring.Invalid, "no such input")
	deliver(`, "ondareplay": "1"`, "SUCCESS")
	finds(answers.Failed, "no such input")
	v.err = nil
	// The note of the next one is lost, and its delivery comes again.
	store.bad = store.saves + 2
	deliver(`, "ondareplay": "2"`, "RETRY")
	finds(answers.Failed, "no such input")
	scored := v.calls
	deliver(`, "ondareplay": "2"`, "SUCCESS")
	finds(answers.Done, fmt.Sprintf(`"modelversion":"%d"`, scored))
	// What comes late changes nothing.
	v.err = scoring.Errorf(scoring.Invalid, "no such input")
	deliver(`, "ondareplay": "3"`, "SUCCESS")
	deliver("", "SUCCESS")
	deliver(`, "ondareplay": "1"`, "SUCCESS")
	finds(answers.Done, fmt.Sprintf(`"modelversion":"%d"`, scored))
	for replay, want := range []answers.Status{answers.Failed, answers.Failed, answers.Done, answers.Failed} {
		key.Replay = replay
		if r, err := book.Find(t.Context(), key); err != nil || r.Status != want || r.Request != "asked" {
			t.Errorf("%d: got %+v, %v, want %s", replay, r, err, want)
		}
	}
}

// TestBulk gives each entry its own status.
func TestBulk(t *testing.T) {
	t.Parallel()
	d, _, _ := remembering()
	var entries, want []string
	for i := range 64 {
		one := strings.Replace(event(predictData), `"7"`, fmt.Sprintf(`"%d"`, i), 1)
		if i == 40 {
			one = strings.Replace(one, `"faq"`, `""`, 1) // the poison
		}
		entries = append(entries, fmt.Sprintf(`{"entryId": "e%d", "event": %s, "contentType": "application/cloudevents+json", "metadata": {}}`, i, one))
		want = append(want, fmt.Sprintf("e%d SUCCESS", i))
	}
	body := `{"id": "b", "entries": [` + strings.Join(entries, ",") + `], "metadata": {}, "pubsubname": "pubsub", "topic": "scoring.requests", "type": "com.dapr.event.sent.bulk"}`
	reply := d.handler.Deliver(t.Context(), []byte(body), "")
	var got []string
	for _, s := range reply.Statuses {
		got = append(got, s.EntryID+" "+s.Status)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || reply.Status != "" {
		t.Errorf("got %q and %q", got, reply.Status)
	}
	count := map[string]int{}
	for _, m := range d.publisher.messages {
		count[m.topic]++
	}
	if count[results] != 63 || count[deadLetters] != 1 {
		t.Errorf("got %v, want 63 results and a dead letter", count)
	}
}

// TestBulkWithFailures takes no entry along with another.
func TestBulkWithFailures(t *testing.T) {
	t.Parallel()
	d := newDoor()
	d.handler = d.with(panicking{&d.scorer})
	body := `{"entries": [{"entryId": "a", "event": ` + event(predictData) + `}, {"entryId": "b", "event": ` + event(inferData) + `}, {"entryId": "c"}]}`
	reply := d.handler.Deliver(t.Context(), []byte(body), "")
	want := []wire.EntryStatus{{EntryID: "a", Status: "RETRY"}, {EntryID: "b", Status: "SUCCESS"}, {EntryID: "c", Status: "SUCCESS"}}
	if fmt.Sprint(reply.Statuses) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", reply.Statuses, want)
	}
	if none := d.handler.Deliver(t.Context(), []byte(`{"entries": []}`), ""); none.Statuses == nil || len(none.Statuses) != 0 {
		t.Errorf("got %+v of an empty delivery", none)
	}
	// An event may have an attribute of that name.
	if one := d.handler.Deliver(t.Context(), []byte(event(inferData, `, "entries": []`)), ""); one.Status != "SUCCESS" {
		t.Errorf("got %+v", one)
	}
}

// panicking is a scorer with a fault.
type panicking struct{ *scorer }

func (panicking) Predict(context.Context, *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	panic("a fault")
}

// TestRawMessages are wrapped by Dapr.
func TestRawMessages(t *testing.T) {
	t.Parallel()
	wrap := func(body string) string {
		return `{"specversion": "1.0", "id": "random", "source": "broker", "type": "com.dapr.event.sent", "datacontenttype": "application/octet-stream", "topic": "t", "pubsubname": "pubsub", "data_base64": "` + base64Of(body) + `"}`
	}
	d := newDoor()
	d.deliver(t, wrap(event(predictData)))
	if out := d.published(t, results); out["requestid"] != "7" || out["requestsource"] != "shop" {
		t.Errorf("got %v, want the event inside answered", out)
	}
	d = newDoor()
	if reply := d.handler.Deliver(t.Context(), []byte(wrap("\xff\xd8\xff")), "faq/versions/3"); reply.Status != "SUCCESS" {
		t.Errorf("got %+v", reply)
	}
	if out := d.published(t, results); out["requestid"] != "random" || d.scorer.predicted[0].Model.Version != 3 || string(d.scorer.predicted[0].Instances[0].Data) != "\xff\xd8\xff" {
		t.Errorf("got %v, want the picture scored by the model of the path", out)
	}
}

// TestRawOriginal: an event that was wrapped by Dapr is put back as its sender wrote it. With the
// wrapping, the next one would hide it.
func TestRawOriginal(t *testing.T) {
	t.Parallel()
	sent := event(`, "data": {"instances": 9007199254740993}`)
	d := newDoor()
	d.deliver(t, `{"specversion": "1.0", "id": "random", "source": "broker", "type": "com.dapr.event.sent", "data_base64": "`+base64Of(sent)+`"}`)
	var letter struct {
		RequestID string `json:"requestid"`
		Data      struct {
			Original json.RawMessage `json:"original"`
		} `json:"data"`
	}
	if err := json.Unmarshal(d.publisher.messages[0].body, &letter); err != nil || letter.RequestID != "7" {
		t.Fatalf("%v: %s", err, d.publisher.messages[0].body)
	}
	if want := strings.ReplaceAll(sent, " ", ""); strings.ReplaceAll(string(letter.Data.Original), " ", "") != want {
		t.Errorf("got %s\nwant %s", letter.Data.Original, want)
	}
}

// TestRawBulk: the entries of a subscription to raw messages are in base64, to the byte.
func TestRawBulk(t *testing.T) {
	t.Parallel()
	d := newDoor()
	exact := event(`, "data": {"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [9007199254740993]}]}`)
	reply := d.handler.Deliver(t.Context(), []byte(`{"id": "", "topic": "t", "entries": [
		{"entryId": "a", "event": "`+base64Of(exact)+`", "contentType": "application/octet-stream"},
		{"entryId": "b", "event": "not base64"}, {"entryId": "c", "event": "`+base64Of("hello")+`"}]}`), "")
	if want := []wire.EntryStatus{{EntryID: "a", Status: "SUCCESS"}, {EntryID: "b", Status: "SUCCESS"}, {EntryID: "c", Status: "SUCCESS"}}; !slices.Equal(reply.Statuses, want) {
		t.Errorf("got %+v", reply)
	}
	if len(d.scorer.inferred) != 1 {
		t.Fatalf("scored %d, want one", len(d.scorer.inferred))
	}
	if got := binary.LittleEndian.Uint64(d.scorer.inferred[0].Inputs[0].Data); got != 9007199254740993 {
		t.Errorf("scored %d, want the number as it was sent", got)
	}
	letters := 0
	for _, sent := range d.publisher.messages {
		if sent.topic == deadLetters {
			letters++
		}
	}
	if letters != 2 {
		t.Errorf("%d dead letters, want those that are no events", letters)
	}
}

// TestReplayIsMarked on the answers of what an operator put back.
func TestReplayIsMarked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ topic, data, suffix string }{{results, predictData, "/result/2"}, {deadLetters, `, "data": {}`, "/error/2"}} {
		d := newDoor()
		d.deliver(t, event(`, "ondareplay": "2"`, tt.data))
		if out := d.published(t, tt.topic); out["ondareplay"] != "2" || out["id"] != "shop#7"+tt.suffix {
			t.Errorf("%s: got %v", tt.topic, out)
		}
		d = newDoor()
		d.deliver(t, event(tt.data))
		if out := d.published(t, tt.topic); out["ondareplay"] != nil {
			t.Errorf("%s: got %v of what nobody put back", tt.topic, out)
		}
	}
}

// fetcher is a store of one object.
type fetcher struct {
	body     string
	err      error
	fetched  []string
	released int
}

func (f *fetcher) Fetch(_ context.Context, uri, sha256 string) ([]byte, func(), error) {
	f.fetched = append(f.fetched, uri+" "+sha256)
	return []byte(f.body), func() { f.released++ }, f.err
}

func TestDataByReference(t *testing.T) {
	t.Parallel()
	ref := `, "datacontenttype": "image/jpeg", "dataref": "s3://photos/1.jpg", "datarefsha256": "ab12"`
	tests := []struct {
		name, body string
		fetcher    *fetcher
		code       scoring.Code
		text       string
	}{
		{"a picture", event(ref), &fetcher{body: "\xff\xd8\xff"}, 0, ""},
		{"no digest", event(`, "dataref": "s3://photos/1.jpg"`), &fetcher{}, scoring.Invalid, "the event has dataref without datarefsha256: want the SHA-256 of what is there, in 64 hexadecimal digits"},
		{"both", event(ref, predictData), &fetcher{}, scoring.Invalid, "the event has both data and dataref: want one of them"},
		{"nowhere", event(ref), nil, scoring.Unimplemented, "this server takes no data by reference: its setting ONDA_EVENT_SOURCES names no place that may be read"},
		{"elsewhere", event(ref), &fetcher{err: scoring.Errorf(scoring.Denied, "not there")}, scoring.Denied, "dataref: not there"},
		{"no JSON", event(`, "dataref": "s3://a/b", "datarefsha256": "ab12"`), &fetcher{body: "{"}, scoring.Invalid, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor()
			parts := events.Parts{Scorer: &d.scorer}
			if tt.fetcher != nil {
				parts.Fetcher = tt.fetcher
			}
			d.handler = d.made(parts)
			status := d.deliver(t, tt.body)
			switch {
			case tt.code == 0:
				d.published(t, results)
				if string(d.scorer.predicted[0].Instances[0].Data) != tt.fetcher.body || tt.fetcher.fetched[0] != "s3://photos/1.jpg ab12" {
					t.Errorf("scored %q of %q", d.scorer.predicted[0].Instances[0].Data, tt.fetcher.fetched)
				}
			case tt.text != "":
				d.refused(t, status, tt.code, tt.text)
			default:
				d.observed(t, "dead_letter "+tt.code.String())
			}
			if f := tt.fetcher; f != nil && f.err == nil && len(f.fetched) != f.released {
				t.Errorf("fetched %d times, released %d times", len(f.fetched), f.released)
			}
		})
	}
	d := newDoor()
	d.handler = d.made(events.Parts{Scorer: &d.scorer, Fetcher: &fetcher{err: scoring.Errorf(scoring.Unavailable, "away")}})
	if status := d.deliver(t, event(ref)); status != "RETRY" {
		t.Errorf("with the store away: got %s", status)
	}
}

// TestSlowStorage gives an event back whose data took longer than our budget, which is none of
// its own.
func TestSlowStorage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ref := `, "datacontenttype": "image/jpeg", "dataref": "s3://photos/1.jpg", "datarefsha256": "ab12"`
		soon := time.Now().Add(10 * time.Second).Format(time.RFC3339)
		d := newDoor()
		d.handler = d.made(events.Parts{Scorer: &d.scorer, Fetcher: &fetcher{err: context.DeadlineExceeded}})
		if ours, its := d.deliver(t, event(ref)), d.deliver(t, event(ref, `, "expiration": "`+soon+`"`)); ours != "RETRY" || its != "SUCCESS" {
			t.Errorf("got %s and %s, want the event back, and a dead letter where the budget was its own", ours, its)
		}
	})
}

// TestManyEntries holds as many entries of a bulk delivery as there is room for, and not each of
// them on a goroutine.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	const entries = 4_000
	d, g := newDoor(), &gauge{}
	d.handler = d.made(events.Parts{Scorer: &d.scorer, Publisher: g})
	reply := d.handler.Deliver(t.Context(), []byte(`{"entries": [{}`+strings.Repeat(", {}", entries-1)+`]}`), "")
	if len(reply.Statuses) != entries || g.most == 0 || g.most > entries/4 {
		t.Errorf("got %d statuses, and up to %d goroutines", len(reply.Statuses), g.most)
	}
}

// gauge is a publisher that counts goroutines.
type gauge struct {
	mu   sync.Mutex
	most int
}

func (g *gauge) Publish(context.Context, string, []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = max(g.most, runtime.NumGoroutine())
	return nil
}

// TestBackPressure holds deliveries while the model has too much to do, and as many as there
// is room for.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor()
		busy := scoring.Errorf(scoring.Overloaded, "the queue is full")
		d.scorer.err = busy
		ended := make(chan string, 1)
		go func() { ended <- d.handler.Deliver(context.Background(), []byte(event(predictData)), "").Status }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(ended) != 0 {
			t.Fatal("the event went back at once")
		}
		d.scorer.mu.Lock()
		d.scorer.err = nil
		d.scorer.mu.Unlock()
		if status := <-ended; status != "SUCCESS" {
			t.Errorf("got %s", status)
		}
		// One that never finds room goes back within the time that a delivery may take.
		d.scorer.err = busy
		begin := time.Now()
		if status := d.deliver(t, event(predictData)); status != "RETRY" || time.Since(begin) > 30*time.Second {
			t.Errorf("got %s after %s", status, time.Since(begin))
		}
	})
}

func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor()
		d.handler = d.with(waiter{})
		const more = 44
		done := make(chan string, 256+more)
		for range cap(done) {
			go func() { done <- d.handler.Deliver(context.Background(), []byte(event(predictData)), "").Status }()
		}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if len(done) != 0 {
			t.Errorf("%d came back early", len(done))
		}
		for range cap(done) {
			if status := <-done; status != "RETRY" {
				t.Errorf("got %s", status)
			}
		}
	})
}

var errLost = errors.New("lost")

// TestResultThatIsTooLarge ends as a dead letter, each time.
func TestResultThatIsTooLarge(t *testing.T) {
	t.Parallel()
	d, m, v := remembering()
	d.publisher.err = errLost
	d.deliver(t, event(predictData)) // kept
	d.publisher.err = nil
	d.handler = d.made(events.Parts{Scorer: v, Answers: m, Publisher: narrow{&d.publisher}})
	for range 2 {
		if status := d.deliver(t, event(predictData)); status != "SUCCESS" {
			t.Errorf("got %s", status)
		}
	}
	for _, sent := range d.publisher.messages {
		if sent.topic != deadLetters || !strings.Contains(string(sent.body), "too large") {
			t.Errorf("sent %s to %s", sent.body, sent.topic)
		}
	}
}

// narrow takes no results.
type narrow struct{ *publisher }

func (n narrow) Publish(ctx context.Context, topic string, body []byte) error {
	if topic == results {
		return scoring.Errorf(scoring.TooLarge, "the event is too large")
	}
	return n.publisher.Publish(ctx, topic, body)
}
