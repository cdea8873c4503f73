package registryapi_test

import (
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/ingress/operator/operatortest"
)

func TestRightToChange(t *testing.T) {
	t.Parallel()
	const (
		wrong  = `the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`
		unset  = "the registry cannot be changed yet: set ONDA_REGISTRY_TOKEN to a token that those show who may, or ONDA_REGISTRY_CHANGES=open to let everybody"
		closed = "the registry is not changed over this door: set ONDA_REGISTRY_CHANGES=token, and ONDA_REGISTRY_TOKEN, to allow it"
	)
	tests := []struct {
		name, changes, token, shown string
		status                      int
		want                        string
	}{
		{"token", "token", token, "Bearer s3cret", 200, ""},
		{"none", "token", token, "", 401, wrong},
		{"other token", "token", token, "Bearer s3creT", 401, wrong},
		{"no token of ours", "token", "", "Bearer ", 403, unset},
		{"open", "open", "", "", 200, ""},
		{"off", "off", token, "Bearer s3cret", 403, closed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(r *rig) { r.config.Changes, r.config.Token = test.changes, test.token })
			for _, request := range requests {
				got := r.call(t, request.method, request.path, request.body, "Authorization: "+test.shown)
				switch {
				case request.action == "" || test.status == 200:
					expect(t, got, request.status, request.want)
				default:
					expect(t, got, test.status, operatortest.Failure(test.want))
					if challenge := got.header.Get("WWW-Authenticate"); (challenge != "") != (test.status == 401) {
						t.Errorf("%s: the challenge is %q", request.name, challenge)
					}
				}
			}
			passed := 0
			for _, request := range requests {
				if request.action == "" || test.status == 200 {
					passed++
				}
			}
			if len(r.service.calls) != passed {
				t.Errorf("passed on %q, want %d calls", r.service.calls, passed)
			}
		})
	}
}

func TestRefusedChangesAreCountedAndLogged(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.call(t, "PUT", models+"/m/labels/live", `{"version":2}`, "Authorization: Bearer guess", "X-Onda-Actor: eve")
	if r.counter.last() != "label Unauthenticated" {
		t.Errorf("counted %q", r.counter.last())
	}
	if log := r.log.String(); !strings.Contains(log, `"actor":"eve"`) || strings.Contains(log, "guess") {
		t.Errorf("logged %s, want eve and not what she tried", log)
	}
}

// TestActor goes with a change, as do its reason and what is accepted.
func TestActor(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := r.call(t, "PUT", models+"/m/pin", `{"pinned":true,"reason":"why not","accept":["slower"]}`, "X-Onda-Actor: ann", "Dapr-Caller-App-Id: shop")
	_, ask := r.service.last()
	if got.status != 200 || ask.Actor != "ann via shop" || ask.Reason != "why not" || len(ask.Accept) != 1 || ask.Accept[0] != "slower" {
		t.Errorf("got %d and %+v", got.status, ask)
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	r := start(t)
	for match, want := range map[string]int64{"": 0, "*": 0, `"12"`: 12, "7": 7} {
		r.call(t, "PUT", models+"/m/pin", `{"pinned":true}`, "If-Match: "+match)
		if _, ask := r.service.last(); ask.Revision != want {
			t.Errorf("%s: got revision %d, want %d", match, ask.Revision, want)
		}
	}
}

func TestOwnPagesMayChange(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.Changes = operator.ChangesOpen })
	if got := r.call(t, "POST", models+"/m/rollback", "", "Sec-Fetch-Site: same-origin", "Origin: https://onda.example.com"); got.status != 200 {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
}

// TestOneLineForEachChange looks at the log: who did what, and nothing of the body.
func TestOneLineForEachChange(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.call(t, "PUT", models+"/m/labels/live", `{"version":2,"reason":"secret plan"}`, "X-Onda-Actor: ann", "X-Request-Id: id-7")
	var lines []string
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, `"level":"info"`) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("got the lines %q, want one", lines)
	}
	for _, want := range []string{`"action":"label"`, `"actor":"ann"`, `"model":"m"`, `"revision":12`, `"took_ms":`, `"id":"id-7"`, `"code":"OK"`} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("got %s, want %s in it", lines[0], want)
		}
	}
	if strings.Contains(r.log.String(), "secret") {
		t.Errorf("the log has the body: %s", r.log.String())
	}
}
