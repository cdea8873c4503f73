package chaos

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// result is a result event about a number, by a version, as a sidecar delivers it.
func result(i, version int, y float64, more string) string {
	return fmt.Sprintf(`{"id": "chaos#%d/result", "source": "onda", "requestid": "%d", "requestsource": "chaos", "modelversion": "%d", "modeldigest": "sha256:%d", "traceid": "", "topic": "scoring.results"%s, "data": {"outputs": [{"data": [%v]}]}}`,
		i, i, version, version, more, y)
}

// letter is a dead letter about a number.
func letter(i int) string {
	return fmt.Sprintf(`{"id": "chaos#%d/error", "source": "onda", "requestid": "%d", "requestsource": "chaos", "data": {"code": "Invalid"}}`, i, i)
}

// heard is an event on a topic.
type heard struct{ topic, text string }

func TestLedger(t *testing.T) {
	t.Parallel()
	first := heard{resultsTopic, result(3, 2, 6, "")}
	tests := []struct {
		name  string
		heard []heard
		want  Report
		fails bool
	}{
		{"nothing", nil, Report{Missing: 4}, true},
		{"one of four", []heard{first}, Report{Results: 1, Distinct: 1, Missing: 3}, true},
		{"byte for byte", []heard{first, first}, Report{Results: 2, Distinct: 1, Missing: 3, Identical: 1}, true},
		{"another way through sidecars", []heard{first, {resultsTopic, strings.Replace(first.text, `"traceid": ""`, `"traceid": "00-1"`, 1)}}, Report{Results: 2, Distinct: 1, Missing: 3, Identical: 1}, true},
		{"another time", []heard{first, {resultsTopic, result(3, 2, 6, `, "time": "2026-01-01T00:00:00Z"`)}}, Report{Results: 2, Distinct: 1, Missing: 3, Alike: 1}, true},
		{"another version", []heard{first, {resultsTopic, result(3, 1, 3, "")}}, Report{Results: 2, Distinct: 1, Missing: 3, Contradicting: 1}, true},
		{"another number", []heard{first, {resultsTopic, result(3, 2, 7, "")}}, Report{Results: 2, Distinct: 1, Missing: 3, Contradicting: 1, Wrong: 1}, true},
		{"a wrong number", []heard{{resultsTopic, result(3, 2, 7, "")}}, Report{Results: 1, Distinct: 1, Missing: 3, Wrong: 1}, true},
		{"a result and a dead letter", []heard{first, {deadLetterTopic, letter(3)}}, Report{Results: 1, DeadLetters: 1, Unexpected: 1, Distinct: 1, Missing: 3, Contradicting: 1}, true},
		{"the sidecar's own dead letter", []heard{{deadLetterTopic, `{"id": "3", "source": "chaos", "data": "x"}`}}, Report{DeadLetters: 1, Unexpected: 1, Distinct: 1, Missing: 3}, true},
		{"all", []heard{{resultsTopic, result(0, 1, 0, "")}, {resultsTopic, result(1, 1, 1, "")}, {resultsTopic, result(2, 2, 4, "")}, first}, Report{Results: 4, Distinct: 4}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(4)
			for _, h := range tt.heard {
				if err := l.hear(h.topic, []byte(h.text)); err != nil {
					t.Error(err)
				}
			}
			got := l.report()
			if len(got.Lost) != got.Missing {
				t.Errorf("lists %v of %d missing ones", got.Lost, got.Missing)
			}
			got.Lost = nil
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tt.want) || got.Failed() != tt.fails {
				t.Errorf("got  %+v, failed %v\nwant %+v", got, got.Failed(), tt.want)
			}
			if l.heardSoFar() != len(tt.heard) {
				t.Errorf("%d events were heard, want %d", l.heardSoFar(), len(tt.heard))
			}
		})
	}
}

// TestSentAgain tells an event that was lost from an answer that was.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	l := newLedger(4)
	for i := range 4 {
		l.published(i)
	}
	now := time.Now()
	at := func(i int, moment time.Time) {
		t.Helper()
		if err := l.hear(resultsTopic, []byte(result(i, 1, float64(i), fmt.Sprintf(`, "time": %q`, moment.Format(time.RFC3339Nano))))); err != nil {
			t.Fatal(err)
		}
	}
	at(0, now)
	if again := l.sendAgain(now); fmt.Sprint(again) != "[1 2 3]" {
		t.Errorf("%v are sent again, want 1, 2 and 3", again)
	}
	at(1, now.Add(-time.Minute))
	at(2, now.Add(time.Second))
	r := l.report()
	if r.Missing != 3 || r.Again != 2 || r.Kept != 1 || !r.Failed() {
		t.Errorf("got %+v", r)
	}
	r.Hasty = true
	if !r.Failed() {
		t.Error("an event that is missing for ever, and an answer that was lost, are no failure")
	}
	if r = (Report{Hasty: true, Missing: 2, Again: 2}); r.Failed() {
		t.Error("an event that its sender has to send again is a failure")
	}
	if r.Hasty = false; !r.Failed() {
		t.Error("an event that was lost is no failure")
	}
}

// TestProbes are not counted.
func TestProbes(t *testing.T) {
	t.Parallel()
	l := newLedger(1)
	if l.probed() {
		t.Error("nothing was heard, and a probe was answered")
	}
	if err := l.hear(resultsTopic, []byte(strings.ReplaceAll(result(0, 1, 0, ""), `"requestid": "0"`, `"requestid": "probe-1"`))); err != nil {
		t.Fatal(err)
	}
	if r := l.report(); !l.probed() || r.Results != 0 || l.heardSoFar() != 0 {
		t.Errorf("probed %t, %+v", l.probed(), r)
	}
}

// TestForeignEvents are not counted.
func TestForeignEvents(t *testing.T) {
	t.Parallel()
	l := newLedger(4)
	for _, h := range []heard{
		{resultsTopic, "no JSON"},
		{deadLetterTopic, "no JSON"},
		{resultsTopic, result(4, 1, 4, "")},
		{resultsTopic, result(-1, 1, -1, "")},
		{resultsTopic, strings.Replace(result(1, 1, 1, ""), `"chaos"`, `"other"`, 1)},
	} {
		if err := l.hear(h.topic, []byte(h.text)); err == nil {
			t.Errorf("counted %s", h.text)
		}
	}
	if r := l.report(); r.Results != 0 || r.DeadLetters != 0 || r.Missing != 4 {
		t.Errorf("got %+v", r)
	}
}

// TestPublished counts acknowledged events, and different ones.
func TestPublished(t *testing.T) {
	t.Parallel()
	l := newLedger(4)
	for _, i := range []int{0, 1, 1, 3} {
		l.published(i)
	}
	if once, answered := l.progress(); once != 3 || answered != 0 || l.report().Published != 4 {
		t.Errorf("%d different events of %d are published, %d answered: want 3 of 4, 0", once, l.report().Published, answered)
	}
}

// TestEvents shows which events are bad, and which come twice.
func TestEvents(t *testing.T) {
	t.Parallel()
	const events = 100_000
	bad, twice := 0, 0
	for i := range events {
		if isBad(i) {
			bad++
		}
		twice += copies(i)
		if isBad(i) != bytes.Contains(requestEvent(i), []byte("no number")) {
			t.Fatalf("event %d is %s", i, requestEvent(i))
		}
	}
	if bad != events/badEvery || twice != events/twiceEvery {
		t.Errorf("%d events are bad and %d come twice, want %d and %d", bad, twice, events/badEvery, events/twiceEvery)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := Report{Published: 12, Results: 11, DeadLetters: 1, Distinct: 10, Identical: 2, Kills: []string{"redis", "onda", "redis"}, Took: 2 * time.Second}
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"published        12\n", "repeated         2 byte for byte, 0 otherwise\n", "kills            3 (onda 1, redis 2)\n", "events/s         5\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("there is no line %q in\n%s", line, b.String())
		}
	}
}
