package events_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/events"
	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/ingress/eventsapi"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a state store.
type store struct {
	mu    sync.Mutex
	texts map[string]string
	etags map[string]int
}

func (s *store) Get(_ context.Context, key string) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.etags[key] == 0 {
		return nil, "", nil
	}
	return []byte(s.texts[key]), strconv.Itoa(s.etags[key]), nil
}

func (s *store) SaveFor(_ context.Context, key string, value []byte, etag string, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.etags[key]; n > 0 && strconv.Itoa(n) != etag || n == 0 && etag != "" {
		return scoring.Errorf(scoring.Conflict, "stale")
	}
	s.texts[key] = string(value)
	s.etags[key]++
	return nil
}

// publisher counts what is published, and can be away.
type publisher struct{ err error }

func (p *publisher) Publish(context.Context, string, []byte) error { return p.err }

// onda is a server with real dead letters.
type onda struct {
	*httptest.Server

	book      *deadletters.Book
	publisher publisher
	now       time.Time
	// last request.
	agent string
}

func newOnda(t *testing.T) *onda {
	t.Helper()
	o := &onda{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	o.book = &deadletters.Book{
		Store: &store{texts: map[string]string{}, etags: map[string]int{}}, Publisher: &o.publisher, RequestsTopic: "requests",
		TTL: 24 * time.Hour, Now: func() time.Time { return o.now }, Log: zerolog.Nop(),
	}
	door := eventsapi.New(eventsapi.Config{Changes: operator.ChangesToken, Token: "s3cret", MaxLetter: 1 << 20, ReadTimeout: time.Second, Timeout: time.Minute}, o.book, zerolog.Nop())
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.agent = r.Header.Get("User-Agent")
		door.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// fill delivers a few letters, and gives the IDs of the first three.
func (o *onda) fill(t *testing.T) (ids [3]string) {
	t.Helper()
	request := func(source, id, subject, more string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":"onda.score.request.v1","subject":%q%s}`, id, source, subject, more)
	}
	refused := func(code, text, original string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":"e","source":"onda","type":"onda.score.error.v1","data":{"code":%q,"error":%q,"original":%s}}`, code, text, original)
	}
	for i, body := range []string{
		refused("NotFound", "model \"faq\" is not here", request("shop", "7", "faq", `,"data":{"instances":["How?"]}`)),
		refused("Expired", "too late", request("shop", "8", "faq/versions/3", `,"expiration":"2026-05-04T11:00:00Z"`)),
		"\x1b[2Jhello",
		strings.Replace(request("bank", "9", strings.Repeat("long", 20), ""), `"bank"`, `"ba\u001bnk"`, 1),
	} {
		if status := o.book.Deliver(t.Context(), []byte(body)); status != "SUCCESS" {
			t.Fatal(status)
		}
		if i < len(ids) {
			ids[i] = deadletters.Read([]byte(body)).ID
		}
		o.now = o.now.Add(time.Minute)
	}
	return ids
}

// run runs a command line with the token, and gives everything that it wrote.
func (o *onda) run(stdin string, args ...string) (code int, stdout, stderr string) {
	return run(stdin, events.Defaults{Server: o.URL, Token: "s3cret", User: "ann", Version: "1.2.3"}, args...)
}

func run(stdin string, d events.Defaults, args ...string) (code int, stdout, stderr string) {
	return runWith(strings.NewReader(stdin), d, args...)
}

func runWith(stdin io.Reader, d events.Defaults, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := command.Group("onda", "Onda.", events.New(d), command.NewCompletion())
	root.SetIn(stdin)
	code = command.Run(context.Background(), root, args, &out, &errs)
	return code, out.String(), errs.String()
}

// golden compares what was written with a file of testdata.
func golden(t *testing.T, name string, code int, stdout, stderr string) {
	t.Helper()
	got := fmt.Sprintf("exit %d\n-- stdout --\n%s-- stderr --\n%s", code, stdout, stderr)
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", path, got, want)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	type step struct {
		golden, stdin string
		args          []string
	}
	const first, second, bytes = "FIRST", "SECOND", "BYTES"
	tests := map[string][]step{
		"reading": {
			{"list", "", []string{"list"}},
			{"list-json", "", []string{"list", "-o", "json", "--code", "NotFound"}},
			{"list-model", "", []string{"list", "--model", "faq"}},
			{"list-since", "", []string{"list", "--since", "2026-05-04T12:01:00Z", "--until", "2026-05-04T12:02:00Z"}},
			{"list-none", "", []string{"list", "--state", "replayed"}},
			{"list-more", "", []string{"list", "--limit", "3"}},
			{"list-rest", "", []string{"list", "--limit", "3", "--cursor", "1-1"}},
			{"show", "", []string{"show", first}},
			{"show-json", "", []string{"show", second, "-o", "json"}},
			{"show-bytes", "", []string{"show", bytes}},
			{"show-none", "", []string{"show", strings.Repeat("0", 32)}},
			{"show-wrong", "", []string{"show", "x"}},
		},
		"one": {
			{"replay", "", []string{"replay", second}},
			{"show-replayed", "", []string{"show", second}},
			{"replay-skipped", "", []string{"replay", second}},
			{"replay-again", "", []string{"replay", second, "--again", "-o", "json"}},
			{"replay-not", "", []string{"replay", bytes}},
			{"replay-two", "", []string{"replay", first, bytes}},
			{"replay-two-away", "", []string{"replay", first, second, "--token", "x"}},
		},
		"many": {
			{"replay-no", "n\n", []string{"replay", "--all"}},
			{"replay-nobody", "", []string{"replay", "--code", "NotFound"}},
			{"replay-yes", "y\n", []string{"replay", "--code", "NotFound"}},
			{"replay-none", "", []string{"replay", "--code", "NotFound"}},
			{"replay-all", "", []string{"replay", "--all", "--yes"}},
			{"replay-all-json", "", []string{"replay", "--model", "faq", "-y", "--again", "-o", "json"}},
		},
		"wrong": {
			{"wrong-which", "", []string{"replay"}},
			{"wrong-both", "", []string{"replay", first, "--all"}},
			{"wrong-all", "", []string{"replay", "--all", "--code", "NotFound"}},
			{"wrong-code", "", []string{"list", "--code", "Notfound"}},
			{"wrong-state", "", []string{"list", "--state", "dead"}},
			{"wrong-since", "", []string{"list", "--since", "yesterday"}},
			{"wrong-limit", "", []string{"list", "--limit", "0"}},
			{"wrong-output", "", []string{"list", "-o", "yaml"}},
			{"wrong-timeout", "", []string{"list", "--timeout", "0s"}},
			{"wrong-actor", "", []string{"list", "--actor", "a\x1bb"}},
			{"wrong-server", "", []string{"list", "--server", "ftp://x"}},
			{"wrong-cursor", "", []string{"list", "--cursor", "x"}},
			{"help", "", []string{"--help"}},
			{"help-replay", "", []string{"replay", "--help"}},
			{"help-list", "", []string{"list", "--help"}},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOnda(t)
			ids := o.fill(t)
			names := strings.NewReplacer(first, ids[0], second, ids[1], bytes, ids[2])
			for _, s := range steps {
				args := []string{"events", "deadletters"}
				for _, arg := range s.args {
					args = append(args, names.Replace(arg))
				}
				code, stdout, stderr := o.run(s.stdin, args...)
				stdout = strings.NewReplacer(o.URL, "SERVER", client.Actor("ann"), "ann@host").Replace(stdout)
				golden(t, s.golden, code, stdout, stderr)
			}
			if name == "reading" && o.agent != "onda/1.2.3" {
				t.Errorf("called itself %q", o.agent)
			}
		})
	}
}

// TestWhoAnswers has servers that are none, and tokens that are wrong.
func TestWhoAnswers(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	say := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(slow.Close)
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	tests := []struct {
		name, server, token string
		args                []string
		want                string
	}{
		{"no token", o.URL, "", []string{"list"}, "the header authorization is missing or wrong: send \"Bearer \" and the token of ONDA_REGISTRY_TOKEN\nShow the server's token: export ONDA_REGISTRY_TOKEN=..., or add --token."},
		{"wrong token", o.URL, "x", []string{"list"}, "the header authorization is missing or wrong: send \"Bearer \" and the token of ONDA_REGISTRY_TOKEN\nIs the token that of this server? It comes from --token, or else from ONDA_REGISTRY_TOKEN."},
		{"off", say(403, `{"error":"closed"}`), "x", []string{"list"}, "closed\nThat is set where Onda runs; the token is then shown from here: export ONDA_REGISTRY_TOKEN=..., or add --token."},
		{"nobody", nobody.URL, "x", []string{"list"}, "no Onda answers at " + nobody.URL + ": connection refused\nIs it running? Say where with --server URL, or export ONDA_SERVER=URL."},
		{"stranger", say(200, "<html>"), "x", []string{"list"}, "it sent status 200 OK and no JSON that fits\nIs --server"},
		{"other stranger", say(502, "<html>"), "x", []string{"list"}, "status 502 Bad Gateway\nIs --server"},
		{"sidecar", say(404, `{"errorCode":"ERR","message":"what"}`), "x", []string{"list"}, "is a Dapr sidecar, and not Onda behind it\nAsk Onda through it: --server http://127.0.0.1:"},
		{"sidecar without Onda", say(500, `{"errorCode":"ERR","message":"what"}`), "x", []string{"list"}, ": ERR: what"},
		{"slow", slow.URL, "x", []string{"list", "--timeout", "50ms"}, "no answer from " + slow.URL + " within 50ms\nWait longer with --timeout."},
		{"stream without end", say(200, `{"id":"a1","outcome":"replayed"}`+"\n"), "x", []string{"replay", "--all", "--yes"}, "broke: it was closed before there was a whole answer"},
		{"stream of a stranger", say(200, "hello\n"), "x", []string{"replay", "--all", "--yes"}, "it sent a line that is no JSON"},
		{"control characters", say(400, `{"error":"a\u001b[2Jb\nc"}`), "x", []string{"list"}, "onda: a\ufffd[2Jb c\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := run("", events.Defaults{Server: test.server, Token: test.token}, append([]string{"events", "deadletters"}, test.args...)...)
			if code != command.Failed || !strings.Contains(stderr, test.want) {
				t.Errorf("got %d %s\nwant %s", code, stderr, test.want)
			}
		})
	}
}

// TestFailedAgain looks for what the README says: an event that fails again after a replay is
// a letter of its own, which says with which replay it failed.
func TestFailedAgain(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	ids := o.fill(t)
	body := []byte(`{"specversion":"1.0","id":"e","source":"onda","type":"onda.score.error.v1","data":{"code":"NotFound","error":"still not here",` +
		`"original":{"specversion":"1.0","id":"7","source":"shop","type":"onda.score.request.v1","subject":"faq","data":{"instances":["How?"]},"ondareplay":"1"}}}`)
	if status := o.book.Deliver(t.Context(), body); status != "SUCCESS" {
		t.Fatal(status)
	}
	id := deadletters.Read(body).ID
	if id == ids[0] {
		t.Fatal("it is the letter of the first failure")
	}
	code, stdout, stderr := o.run("", "events", "deadletters", "show", id)
	golden(t, "show-failed-again", code, stdout, stderr)
}

// TestNobodyToAsk has a pipe as its input that stays open, as in a script or a job of CI:
// to wait there for an answer would be to hang.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	const want = "onda: 4 dead letters would be put back, and there is nobody to ask: standard input is no terminal: add --yes\n"
	o := newOnda(t)
	o.fill(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	late := time.AfterFunc(5*time.Second, func() { w.Close() }) // so that a wait ends, and fails the test
	defer late.Stop()
	args := []string{"events", "deadletters", "replay", "--all"}
	defaults := events.Defaults{Server: o.URL, Token: "s3cret", User: "ann"}
	for name, in := range map[string]*os.File{"open pipe": r, "a yes in a pipe": pipeWith(t, "y\n"), "nothing": devNull(t)} {
		code, stdout, stderr := runWith(in, defaults, args...)
		if code != command.Failed || stdout != "" || stderr != want {
			t.Errorf("%s: got %d, %q and\n%s\nwant\n%s", name, code, stdout, stderr, want)
		}
	}
	if code, _, stderr := runWith(r, defaults, append(args, "--yes")...); code != command.Failed || !strings.Contains(stderr, "3 dead letters put back, 0 skipped, 1 failed") {
		t.Errorf("with --yes: got %d %s", code, stderr)
	}
	if code, _, stderr := runWith(r, defaults, "events", "deadletters", "replay", "--state", "replayed"); code != command.OK || stderr != "no dead letters to put back\n" {
		t.Errorf("where there is nothing to ask about: got %d %s", code, stderr)
	}
}

// typing is somebody at a terminal who presses Ctrl-C in place of an answer.
type typing struct{ *io.PipeReader }

func (in typing) Read(p []byte) (int, error) {
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		return 0, err
	}
	return in.PipeReader.Read(p)
}

// TestInterruptedQuestion ends at the first Ctrl-C. Signals are the whole process's: the test
// is not parallel.
func TestInterruptedQuestion(t *testing.T) {
	o := newOnda(t)
	o.fill(t)
	r, w := io.Pipe()
	late := time.AfterFunc(5*time.Second, func() { w.Close() })
	code, stdout, stderr := runWith(typing{r}, events.Defaults{Server: o.URL, Token: "s3cret"}, "events", "deadletters", "replay", "--all")
	if !late.Stop() {
		t.Error("it went on waiting for an answer")
	}
	w.Close() // which ends the read that nobody waits for
	const want = "Put back 4 dead letters? [y/N] \nonda: interrupted: nothing was put back\n"
	if code != command.Interrupted || stdout != "" || stderr != want {
		t.Errorf("got %d, %q and\n%s\nwant\n%s", code, stdout, stderr, want)
	}
}

// pipeWith is the end of a pipe that text can be read from.
func pipeWith(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	_, err = w.WriteString(text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return r
}

func devNull(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestBrokerThatIsAway ends a replay of many with what was done.
func TestBrokerThatIsAway(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.fill(t)
	o.publisher.err = errors.New("gone")
	code, stdout, stderr := o.run("", "events", "deadletters", "replay", "--model", "faq", "--yes")
	want := "0 dead letters put back, 0 skipped, 1 failed\nonda: the event could not be published: put it back again, it is answered once\n"
	if code != command.Failed || stderr != want || strings.Count(stdout, "failed: the event could not be published") != 1 {
		t.Errorf("got %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	ids := o.fill(t)
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"list", "--code", "No"}, []string{"NotFound"}},
		{[]string{"list", "--state", "replay"}, []string{"replaying\tbeing put back, or interrupted", "replayed\tput back"}},
		{[]string{"list", "--model", "faq"}, []string{"faq", "faq/versions/3"}},
		{[]string{"list", "--source", ""}, []string{"shop"}},
		{[]string{"list", "-o", "j"}, []string{"json\twhat the server answered"}},
		{[]string{"show", ids[0][:6]}, []string{ids[0] + "\tNotFound faq shop 7"}},
		{[]string{"show", ids[0], ""}, nil},
		{[]string{"replay", ids[0], ids[1][:6]}, []string{ids[1] + "\tExpired faq/versions/3 shop 8"}},
		{[]string{"replay", ids[0], ids[0]}, nil},
	}
	for _, test := range tests {
		_, stdout, _ := o.run("", append([]string{cobra.ShellCompRequestCmd, "events", "deadletters"}, test.args...)...)
		want := strings.Join(append(test.want, ":4", ""), "\n")
		if stdout != want {
			t.Errorf("%q: got\n%s\nwant\n%s", test.args, stdout, want)
		}
	}
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	if _, stdout, _ := run("", events.Defaults{Server: nobody.URL}, cobra.ShellCompRequestCmd, "events", "deadletters", "show", ""); stdout != ":4\n" {
		t.Errorf("got %q without a server", stdout)
	}
}
