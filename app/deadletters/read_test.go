package deadletters_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/deadletters"
)

func TestRead(t *testing.T) {
	t.Parallel()
	plain := original("shop", "7", `,"data":{"instances":["a < b"]}`)
	tests := []struct {
		name, body string
		want       deadletters.Letter
	}{
		{
			"refused", refused("NotFound", "shop", "7", plain),
			deadletters.Letter{Code: "NotFound", Error: "it is wrong", By: "onda", Model: "faq", RequestID: "7", RequestSource: "shop", Original: json.RawMessage(plain)},
		},
		{
			"refused after a replay", refused("NotFound", "shop", "7", original("shop", "7", `,"ondareplay":"3"`)),
			deadletters.Letter{Code: "NotFound", Error: "it is wrong", By: "onda", Model: "faq", RequestID: "7", RequestSource: "shop", Replay: 3, Original: json.RawMessage(original("shop", "7", `,"ondareplay":"3"`))},
		},
		{
			"refused bytes", `{"specversion":"1.0","id":"x","source":"onda","type":"onda.score.error.v1","data":{"code":"Invalid","error":"no","original_base64":"/w=="}}`,
			deadletters.Letter{Code: "Invalid", Error: "no", By: "onda", OriginalBytes: []byte{0xff}},
		},
		{
			"refused and not kept", `{"specversion":"1.0","id":"x","source":"onda","type":"onda.score.error.v1","subject":"m","requestid":"1","requestsource":"s","ondareplay":2,"data":{"code":"TooLarge","error":"no"}}`,
			deadletters.Letter{Code: "TooLarge", Error: "no", By: "onda", Model: "m", RequestID: "1", RequestSource: "s", Replay: 2},
		},
		{
			"given up", plain,
			deadletters.Letter{Code: "Undelivered", Error: "the event was not taken however often it was delivered, and nobody wrote down why: see the log of that time", By: "sidecar", Model: "faq", RequestID: "7", RequestSource: "shop", Original: json.RawMessage(plain)},
		},
		{
			"given up and wrapped", `{"specversion":"1.0","id":"random","source":"broker","type":"com.dapr.event.sent","data_base64":"` + base64.StdEncoding.EncodeToString([]byte(plain)) + `"}`,
			deadletters.Letter{Code: "Undelivered", Error: "the event was not taken however often it was delivered, and nobody wrote down why: see the log of that time", By: "sidecar", Model: "faq", RequestID: "7", RequestSource: "shop", Original: json.RawMessage(plain)},
		},
		{
			"no event", "hello",
			deadletters.Letter{Code: "Undelivered", Error: "what was delivered is no CloudEvent with an id and a source, and cannot be put back", By: "sidecar", OriginalBytes: []byte("hello")},
		},
		{
			"other JSON", `[1]`,
			deadletters.Letter{Code: "Undelivered", Error: "what was delivered is no CloudEvent with an id and a source, and cannot be put back", By: "sidecar", Original: json.RawMessage("[1]")},
		},
	}
	seen := map[string]string{}
	for _, test := range tests {
		got := deadletters.Read([]byte(test.body))
		if len(got.ID) != 32 {
			t.Errorf("%s: got the id %q", test.name, got.ID)
		}
		if again := deadletters.Read([]byte(test.body)); again.ID != got.ID {
			t.Errorf("%s: got the ids %s and %s", test.name, got.ID, again.ID)
		}
		seen[got.ID] += test.name + ", "
		test.want.ID, test.want.State = got.ID, deadletters.Waiting
		if text, want := jsonOf(t, got), jsonOf(t, test.want); text != want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, text, want)
		}
	}
	// The first one and those by the sidecar are of the same event.
	if len(seen) != len(tests)-2 {
		t.Errorf("got the ids %v", seen)
	}
}

func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 5000)
	l := deadletters.Read([]byte(refused(long, long, long, `{"subject":"`+long+`"}`)))
	if len(l.Code) > 70 || len(l.RequestID) > 1030 || len(l.RequestSource) > 1030 {
		t.Errorf("got texts of %d, %d and %d bytes", len(l.Code), len(l.RequestID), len(l.RequestSource))
	}
	deep := strings.Repeat("[", 10000) + strings.Repeat("]", 10000)
	if l = deadletters.Read([]byte(deep)); string(l.OriginalBytes) != deep || l.Original != nil {
		t.Error("an original that is too deep for JSON within JSON was not kept as bytes")
	}
}

// TestReplayNumbers reads what may stand in the attribute.
func TestReplayNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{`"1"`: 1, `12`: 12, `"0"`: 0, `"-1"`: 0, `"x"`: 0, `null`: 0, `{}`: 0, `1.5`: 0, `"99999999999"`: 0, `""`: 0} {
		if l := deadletters.Read([]byte(original("a", "b", `,"ondareplay":`+text))); l.Replay != want {
			t.Errorf("%s: got %d, want %d", text, l.Replay, want)
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func FuzzRead(f *testing.F) {
	for _, body := range []string{
		"", "null", "[]", "\xff", "{", original("a", "b"), original("a", "b", `,"ondareplay":"1"`), refused("Invalid", "a", "b", original("a", "b")),
		refused("Invalid", "a", "b", "null"), `{"specversion":"1.0","type":"onda.score.error.v1","data":{"code":"Invalid","original_base64":"/w=="}}`,
		`{"specversion":"1.0","type":"onda.score.error.v1","data":[]}`, `{"specversion":"1.0","id":"\ud800","source":"x"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l := deadletters.Read(body)
		if len(l.ID) != 32 || l.Code == "" || l.State != deadletters.Waiting || l.By == "" {
			t.Fatalf("got %+v, want a whole letter", l)
		}
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var back deadletters.Letter
		if err := json.Unmarshal(text, &back); err != nil || back.ID != l.ID || !bytes.Equal(back.OriginalBytes, l.OriginalBytes) {
			t.Fatalf("got %+v, %v from %s", back, err, text)
		}
		if l.By == deadletters.BySidecar && l.Original == nil && !bytes.Equal(l.OriginalBytes, body) {
			t.Fatalf("got %q, want what was delivered", l.OriginalBytes)
		}
		// Whatever it is, it can be kept, and be put back or not.
		r := newRig()
		r.deliver(t, string(body), "SUCCESS")
		if _, err := r.Replay(t.Context(), l.ID, false, "ann"); err == nil {
			event := r.publisher.events[0]
			if attribute(t, event, "ondareplay") == nil {
				t.Fatalf("put back %s without a number", event)
			}
			if next := deadletters.Read([]byte(event)); next.ID == l.ID {
				t.Fatalf("%s fails as the same letter", event)
			}
		}
	})
}
