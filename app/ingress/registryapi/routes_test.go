package registryapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/ingress/operator/operatortest"
	"github.com/onda-serving/onda/app/ingress/registryapi"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	document = `{"schema":1,"name":"m","revision":12,"versions":null,"labels":{"live":2},"serving":{"revision":0,"in_sync":false,"labels":null,"versions":null}}`
	models   = "/registry/v1/models"
)

var blobPath = "/registry/v1/blobs/" + strings.Repeat("a", 64)

// requests are one of each kind: what is asked of the service for it, and what is answered.
var requests = []struct {
	name, method, path, body string
	call                     string
	status                   int
	want                     string
	// action of the change; "" for what changes nothing.
	action string
}{
	{"models", "GET", models, "", "models", 200, `{"models":[]}`, ""},
	{"model", "GET", models + "/m", "", "model m", 200, document, ""},
	{"version", "GET", models + "/m/versions/3", "", "version m 3", 200, `{"version":3,"digest":"sha256:d","location":"","size_bytes":0,"inputs":null,"outputs":null,"pipeline":"","registered_by":"","registered_at":"0001-01-01T00:00:00Z","standing":"retired","serving":null}`, ""},
	{"history", "GET", models + "/m/history", "", "history m 50", 200, `{"entries":[]}`, ""},
	{"history with a limit", "GET", models + "/m/history?limit=7", "", "history m 7", 200, `{"entries":[]}`, ""},
	{"evidence", "GET", models + "/m/evidence", "", "evidence m", 200, `{"rollout":"r7","step":0,"candidate":{"requests":0,"errors":0,"p99_ms":0},"baseline":{"requests":0,"errors":0,"p99_ms":0},"compared":0,"disagreed":0,"max_difference":0,"decision":{"action":"wait","reason":"too few"}}`, ""},
	{"status", "GET", "/registry/v1/status", "", "status", 200, `{"replica":"r1","in_sync":true,"store":{"reachable":false},"revision":9,"models":null,"memory":{"budget":0,"used":0}}`, ""},
	{
		"register", "POST", models + "/m/versions", `{"location":"store:","files":{"model.onnx":{"sha256":"ab","size":5}},"description":"d","licence":"MIT","framework":"f","source":{"commit":"c"},"metrics":{"recall":0.5},"tags":{"a":"b"}}`,
		`register m {"Version":0,"Location":"store:","Files":{"model.onnx":{"sha256":"ab","size":5}},"Description":"d","Licence":"MIT","Framework":"f","Source":{"commit":"c"},"Metrics":{"recall":0.5},"Tags":{"a":"b"}}`,
		201, `{"model":"m","version":{"version":3,"digest":"sha256:d","location":"","size_bytes":0,"inputs":null,"outputs":null,"pipeline":"","registered_by":"","registered_at":"0001-01-01T00:00:00Z"}}`, "register",
	},
	{"label", "PUT", models + "/m/labels/live", `{"version":2}`, "label m live 2", 200, document, "label"},
	{"unlabel", "DELETE", models + "/m/labels/canary", "", "unlabel m canary", 200, document, "unlabel"},
	{"traffic", "PUT", models + "/m/traffic", `{"weights":{"1":90,"2":10},"sticky":"key"}`, `traffic m {"weights":{"1":90,"2":10},"sticky":"key"}`, 200, document, "traffic"},
	{"no traffic", "DELETE", models + "/m/traffic", "", "traffic m null", 200, document, "traffic"},
	{"shadow", "PUT", models + "/m/shadow", `{"version":2,"share":0.1}`, `shadow m {"version":2,"share":0.1}`, 200, document, "shadow"},
	{"no shadow", "DELETE", models + "/m/shadow", "", "shadow m null", 200, document, "shadow"},
	{
		"rollout", "POST", models + "/m/rollout", `{"version":2,"steps":[5,25],"rule":{"max_error_rate":0.02,"step_time":"1m"},"sticky":"caller"}`,
		`rollout m {"Version":2,"Steps":[5,25],"Rule":{"max_error_rate":0.02,"max_p99_ratio":0,"max_divergence":0,"min_samples":0,"min_compared":0,"step_time":"1m0s","compare":0},"Sticky":"caller"}`, 200, document, "rollout",
	},
	{"promote", "POST", models + "/m/promote", `{"version":2}`, "promote m 2", 200, document, "promote"},
	{"promote the candidate", "POST", models + "/m/promote", "", "promote m 0", 200, document, "promote"},
	{"roll back", "POST", models + "/m/rollback", "{}", "rollback m", 200, document, "rollback"},
	{"retire", "POST", models + "/m/versions/3/retire", "{}", "retire m 3", 200, document, "retire"},
	{"pin", "PUT", models + "/m/pin", `{"pinned":true}`, "pin m true", 200, document, "pin"},
	{"unpin", "PUT", models + "/m/pin", `{"pinned":false}`, "pin m false", 200, document, "pin"},
	{"upload", "PUT", blobPath, "1234567", "upload " + strings.Repeat("a", 64) + " 7, read 7", 201, `{"sha256":"` + strings.Repeat("a", 64) + `","size":7}`, "upload"},
}

func TestEveryRequest(t *testing.T) {
	t.Parallel()
	for _, test := range requests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			got := r.call(t, test.method, test.path, test.body, "X-Request-Id: id-7")
			expect(t, got, test.status, test.want)
			if call, _ := r.service.last(); call != test.call {
				t.Errorf("asked for %q, want %q", call, test.call)
			}
			if got.header.Get("X-Request-Id") != "id-7" || got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("got the headers %v", got.header)
			}
			want := ""
			if test.action != "" {
				want = test.action + " OK"
			}
			if r.counter.last() != want {
				t.Errorf("counted %q, want %q", r.counter.last(), want)
			}
		})
	}
}

// TestEveryCode walks the error table: each code gives its status on every path, the public
// message and nothing of the cause.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	for _, code := range scoring.Codes() {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.service.err = refusal(code).WithCause(errors.New("hide this")).WithRetryAfter(1500 * time.Millisecond)
			for _, test := range requests {
				got := r.call(t, test.method, test.path, test.body)
				expect(t, got, code.HTTPStatus(), operatortest.Failure("say this"))
				if got.header.Get("Retry-After") != "2" {
					t.Errorf("%s: Retry-After is %q, want 2: seconds, rounded up", test.name, got.header.Get("Retry-After"))
				}
				if want := test.action + " " + code.String(); test.action != "" && r.counter.last() != want {
					t.Errorf("%s: counted %q, want %q", test.name, r.counter.last(), want)
				}
			}
			if asError := strings.Contains(r.log.String(), `"level":"error"`); asError != (code == scoring.Internal) {
				t.Errorf("logged as an error: %v; only failures of ours are", asError)
			}
		})
	}
}

func TestConflictHasBothStates(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.service.err = fmt.Errorf("commit: %w", &catalog.ConflictError{
		Yours:   &catalog.Model{Name: "m", Revision: 11},
		Current: &catalog.Model{Name: "m", Revision: 12, State: catalog.State{Labels: map[string]int64{"live": 3}, Previous: 2}},
	})
	want := `{"error":"model \"m\" is at revision 12, and your change was made for revision 11: it is another history; look at the model again, and repeat the change if you still want it",` +
		`"yours":{"revision":11,"labels":{}},"current":{"revision":12,"labels":{"live":3},"previous":2}}`
	expect(t, r.call(t, "PUT", models+"/m/labels/live", `{"version":2}`), 409, want)
	got := r.call(t, "PUT", models+"/m/labels/live", `{"version":2}`, "Accept: application/x-ndjson")
	expect(t, got, 200, strings.Replace(want, `,"yours"`, `,"status":409,"yours"`, 1)+"\n")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	label := models + "/m/labels/live"
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
	}{
		{"path", "GET", "/registry/v1/model", "", nil, 404, "there is nothing at GET /registry/v1/model: want /registry/v1/models or another path of README.md"},
		{"slash", "GET", models + "/", "", nil, 404, "there is nothing at GET /registry/v1/models/: want /registry/v1/models or another path of README.md"},
		{"version", "GET", models + "/m/versions/0", "", nil, 400, `version "0": want a positive whole number`},
		{"version to retire", "POST", models + "/m/versions/x/retire", "{}", nil, 400, `version "x": want a positive whole number`},
		{"query", "GET", models + "/m/history?last=1", "", nil, 400, `unknown query parameter "last": want limit`},
		{"limit", "GET", models + "/m/history?limit=0", "", nil, 400, `limit is "0": want one whole number, 1 to 1000`},
		{"limit too large", "GET", models + "/m/history?limit=1001", "", nil, 400, `limit is "1001": want one whole number, 1 to 1000`},
		{"two limits", "GET", models + "/m/history?limit=1&limit=2", "", nil, 400, `limit is "1": want one whole number, 1 to 1000`},
		{"id", "GET", models, "", []string{"X-Request-Id: " + strings.Repeat("x", 257)}, 400, "the request's id is 257 bytes long: at most 256 are allowed"},
		{"content type", "PUT", label, `{"version":2}`, []string{"Content-Type: text/plain"}, 415, `content-type "text/plain" is not supported here: send application/json`},
		{"form", "PUT", label, `version=2`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, `content-type "application/x-www-form-urlencoded" is not supported here: send application/json`},
		{"compressed", "PUT", label, `{"version":2}`, []string{"Content-Encoding: gzip"}, 415, `content-encoding "gzip" is not supported here: send the body uncompressed`},
		{"too large", "PUT", label, strings.Repeat(" ", 1<<16+1), nil, 413, "the body is too large: at most 65536 bytes are allowed for a change, got 65537 bytes"},
		{"no JSON", "PUT", label, `{"version":2`, nil, 400, "the body is not valid JSON near offset 12: unexpected end of JSON input"},
		{"two objects", "PUT", label, `{"version":2}{}`, nil, 400, "the body is not valid JSON near offset 14: invalid character '{' after top-level value"},
		{"no object", "PUT", label, `[]`, nil, 400, "the body is no JSON object: want one, such as {}"},
		{"null", "PUT", label, `null`, nil, 400, "the body is no JSON object: want one, such as {}"},
		{"UTF-8", "PUT", label, "{\"reason\":\"\xff\"}", nil, 400, "the body is not valid UTF-8"},
		{"unknown key", "PUT", label, `{"virsion":2}`, nil, 400, `unknown key "virsion": want accept, reason, version`},
		{"key in other letters", "PUT", label, `{"Version":2}`, nil, 400, `unknown key "Version": want accept, reason, version`},
		{"key twice", "PUT", label, `{"version":2,"version":3}`, nil, 400, `"version" is there twice: want it once`},
		{"kind", "PUT", label, `{"version":"2"}`, nil, 400, `"version" is a JSON string: want a whole number`},
		{"fraction", "PUT", label, `{"version":2.5}`, nil, 400, `"version" is a JSON number 2.5: want a whole number`},
		{"accept", "PUT", label, `{"version":2,"accept":"signature"}`, nil, 400, `"accept" is a JSON string: want an array`},
		{"key in a rule", "POST", models + "/m/rollout", `{"version":2,"rule":{"max_p99":2}}`, nil, 400, `unknown key "rule.max_p99": want compare, max_divergence, max_error_rate, max_p99_ratio, min_compared, min_samples, step_time`},
		{"duration", "POST", models + "/m/rollout", `{"version":2,"rule":{"step_time":"soon"}}`, nil, 400, `the body: time: invalid duration "soon"`},
		{"key in a file", "POST", models + "/m/versions", `{"files":{"model.onnx":{"md5":"x"}}}`, nil, 400, `unknown key "files.model.onnx.md5": want sha256, size`},
		{"file twice", "POST", models + "/m/versions", `{"files":{"a":{"size":1},"a":{"size":1}}}`, nil, 400, `"files.a" is there twice: want it once`},
		{"no weights", "PUT", models + "/m/traffic", `{}`, nil, 400, `weights is missing: want the weight of each version, such as {"1": 90, "2": 10}; DELETE takes a split away`},
		{"weights of no version", "PUT", models + "/m/traffic", `{"weights":{"01":1}}`, nil, 400, `weights: version "01": want a positive whole number`},
		{"weights of text", "PUT", models + "/m/traffic", `{"weights":{"1":"all"}}`, nil, 400, `"weights" is a JSON string: want a whole number`},
		{"share of text", "PUT", models + "/m/shadow", `{"version":2,"share":"all"}`, nil, 400, `"share" is a JSON string: want a number`},
		{"steps of text", "POST", models + "/m/rollout", `{"steps":["a"]}`, nil, 400, `"steps" is a JSON string: want a whole number`},
		{"rule of a list", "POST", models + "/m/rollout", `{"rule":[]}`, nil, 400, `"rule" is a JSON array: want an object`},
		{"reason of a number", "POST", models + "/m/rollback", `{"reason":1}`, nil, 400, `"reason" is a JSON number: want a string`},
		{"pinned by a number", "PUT", models + "/m/pin", `{"pinned":1}`, nil, 400, `"pinned" is a JSON number: want true or false`},
		{"no word of pinning", "PUT", models + "/m/pin", `{}`, nil, 400, `pinned is missing: want {"pinned": true} or {"pinned": false}`},
		{"body of a removal", "DELETE", label, `{"version":2}`, nil, 400, `unknown key "version": want accept, reason`},
		{"if-match", "PUT", label, `{"version":2}`, []string{`If-Match: W/"12"`}, 400, `header if-match is "W/\"12\"": want the revision that the change was decided on, such as "12"`},
		{"if-match of no revision", "PUT", label, `{"version":2}`, []string{`If-Match: "x"`}, 400, `header if-match is "\"x\"": want the revision that the change was decided on, such as "12"`},
		{"if-match of several", "PUT", label, `{"version":2}`, []string{`If-Match: "1", "2"`}, 400, `header if-match is "\"1\", \"2\"": want the revision that the change was decided on, such as "12"`},
		{"budget", "PUT", label, `{"version":2}`, []string{"X-Request-Timeout-Ms: soon"}, 400, `header x-request-timeout-ms is "soon": want a whole number of milliseconds, at least 1`},
		{"another site", "POST", models + "/m/rollback", "", []string{"Sec-Fetch-Site: cross-site"}, 403, "a page of another site asks for this change: the registry takes none from there"},
		{"another origin", "POST", models + "/m/rollback", "", []string{"Origin: https://example.com"}, 403, "a page of another site asks for this change: the registry takes none from there"},
		{"compressed file", "PUT", blobPath, "1234567", []string{"Content-Encoding: gzip"}, 415, `content-encoding "gzip" is not supported here: send the body uncompressed`},
		{"file too large", "PUT", blobPath, strings.Repeat("a", 1<<20+1), nil, 413, "the file is too large: at most 1048576 bytes are allowed (ONDA_MAX_ARTIFACT), got 1048577 bytes"},
	}
	r := start(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, r.call(t, test.method, test.path, test.body, test.headers...), test.status, operatortest.Failure(test.want))
		})
	}
	if call, _ := r.service.last(); call != "" {
		t.Errorf("asked for %q, want nothing", call)
	}
}

// TestEveryChangeIsStrict sends a key that no change has.
func TestEveryChangeIsStrict(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, test := range requests {
		if test.action == "" || test.action == "upload" {
			continue
		}
		got := r.call(t, test.method, test.path, `{"zzz":1}`)
		if got.status != 400 || !strings.Contains(got.body, `unknown key \"zzz\": want accept, `) {
			t.Errorf("%s: got %d %s", test.name, got.status, got.body)
		}
	}
	if call, _ := r.service.last(); call != "" {
		t.Errorf("asked for %q, want nothing", call)
	}
}

func TestMethodNotAllowedNamesTheMethods(t *testing.T) {
	t.Parallel()
	tests := []struct{ method, path, allow string }{
		{"POST", models, "GET"},
		{"DELETE", models + "/m", "GET"},
		{"GET", models + "/m/versions", "POST"},
		{"POST", models + "/m/labels/live", "PUT, DELETE"},
		{"GET", models + "/m/traffic", "PUT, DELETE"},
		{"GET", models + "/m/rollback", "POST"},
		{"GET", models + "/m/pin", "PUT"},
		{"GET", blobPath, "HEAD, PUT"},
		{"PATCH", "/registry/v1/status", "GET"},
	}
	r := start(t)
	for _, test := range tests {
		got := r.call(t, test.method, test.path, "")
		expect(t, got, 405, operatortest.Failure("method "+test.method+" is not allowed here: use "+strings.ReplaceAll(test.allow, ", ", " or ")))
		if allow := got.header.Get("Allow"); allow != test.allow {
			t.Errorf("%s %s: Allow is %q, want %q", test.method, test.path, allow, test.allow)
		}
	}
}

func TestDocumentsHaveETags(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{models + "/m", models + "/m/versions/3"} {
		got := r.call(t, "GET", path, "")
		if got.status != 200 || got.header.Get("Etag") != `"12"` || got.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: got %d with the headers %v", path, got.status, got.header)
		}
		for _, match := range []string{`"12"`, `W/"12"`, `"1", "12"`, `*`} {
			got := r.call(t, "GET", path, "", "If-None-Match: "+match)
			if got.status != 304 || got.body != "" || got.header.Get("Etag") != `"12"` {
				t.Errorf("%s of %s: got %d %q with the headers %v, want 304", match, path, got.status, got.body, got.header)
			}
		}
		if got := r.call(t, "GET", path, "", `If-None-Match: "11"`); got.status != 200 {
			t.Errorf("%s: got %d for an older revision, want 200", path, got.status)
		}
	}
	if got := r.call(t, "PUT", models+"/m/labels/live", `{"version":2}`); got.header.Get("Etag") != `"12"` {
		t.Errorf("a change answers with the ETag %q, want the document's", got.header.Get("Etag"))
	}
}

func TestRegisteredIsFoundAtItsPath(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := r.call(t, "POST", models+"/m/versions", `{"location":"store:"}`)
	if got.status != 201 || got.header.Get("Location") != models+"/m/versions/3" {
		t.Errorf("got %d at %q, want 201 at version 3", got.status, got.header.Get("Location"))
	}
	r.service.old = true
	got = r.call(t, "POST", models+"/m/versions", `{"location":"store:"}`)
	if got.status != 200 || got.header.Get("Location") != "" {
		t.Errorf("got %d at %q, want 200 for what was there", got.status, got.header.Get("Location"))
	}
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.service.during = func(context.Context, admin.Ask) error { panic("oops") }
	const text = "internal error: the request was not answered; the server's log has the details"
	expect(t, r.call(t, "GET", models, ""), 500, operatortest.Failure(text))
	expect(t, r.call(t, "POST", models+"/m/rollback", ""), 500, operatortest.Failure(text))
	expect(t, r.call(t, "POST", models+"/m/rollback", "", "Accept: application/x-ndjson"), 200, `{"error":"`+text+`","status":500}`+"\n")
	if !strings.Contains(r.log.String(), `"panic":"oops"`) {
		t.Errorf("the log does not tell of it: %s", r.log.String())
	}
}

// TestOpenAPI compares openapi.yaml with the routes that there are.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	operatortest.OpenAPI(t, registryapi.Patterns())
}
