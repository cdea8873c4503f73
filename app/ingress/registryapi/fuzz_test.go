package registryapi

import (
	"encoding/json"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// bodies are the forms of all changes.
var bodies = map[string]func() any{
	"register": func() any { return &registerBody{} },
	"version":  func() any { return &versionBody{} },
	"traffic":  func() any { return &trafficBody{} },
	"shadow":   func() any { return &shadowBody{} },
	"rollout":  func() any { return &rolloutBody{} },
	"pin":      func() any { return &pinBody{} },
	"plain":    func() any { return &plainBody{} },
}

// FuzzBody reads texts as the bodies of all changes. What is taken must mean the same when it
// is written and read again; what is not is the caller's fault.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, `null`, `[]`, `{"version":1}`, `{"version":1e3}`, `{"Version":1}`, `{"version":1,"version":2}`,
		`{"version":0,"location":"store:","files":{"model.onnx":{"sha256":"00","size":5}},"source":{"commit":"c"},"metrics":{"a":0.5},"tags":{"a":"b"}}`,
		`{"weights":{"1":90,"2":10},"sticky":"key"}`, `{"version":2,"share":0.1}`, `{"pinned":null}`, `{"pinned":true}`,
		`{"version":2,"steps":[5,25,50],"rule":{"max_error_rate":0.01,"step_time":"30s"},"reason":"r","accept":["signature"]}`,
		`{"files":{"a":null}}`, `{"reason":"\ud800"}`, `{"steps":{}}`, `{"accept":[[["a"]]]}`, `{"rule":[]}`, ` {"version" : 3 } `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, form := range bodies {
			first := form()
			if err := decode(text, first); err != nil {
				if e := scoring.AsError(err); e.Code != scoring.Invalid || e.Message == "" {
					t.Fatalf("%s of %q: got %v, want Invalid", name, text, err)
				}
				continue
			}
			written, err := json.Marshal(first)
			if err != nil {
				t.Fatalf("%s of %q: %v", name, text, err)
			}
			second := form()
			if err := decode(written, second); err != nil {
				t.Fatalf("%s of %q: written as %s: %v", name, text, written, err)
			}
			again, err := json.Marshal(second)
			if err != nil || string(again) != string(written) {
				t.Fatalf("%s of %q: %s became %s, %v", name, text, written, again, err)
			}
		}
	})
}
