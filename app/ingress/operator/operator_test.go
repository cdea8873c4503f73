package operator_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var words = operator.Words{Foreign: "foreign", Closed: "closed", Unset: "unset", Realm: "the realm"}

func get(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/x", nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

func TestAuthorise(t *testing.T) {
	t.Parallel()
	const (
		token = "s3cret"
		wrong = `the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`
	)
	tests := []struct {
		name, changes, token, shown string
		want                        string
		status                      int
	}{
		{"token", operator.ChangesToken, token, "Bearer s3cret", "", 0},
		{"scheme in other letters", operator.ChangesToken, token, "bearer s3cret", "", 0},
		{"none", operator.ChangesToken, token, "", wrong, 401},
		{"other token", operator.ChangesToken, token, "Bearer s3creT", wrong, 401},
		{"more than the token", operator.ChangesToken, token, "Bearer s3cret2", wrong, 401},
		{"part of the token", operator.ChangesToken, token, "Bearer s3", wrong, 401},
		{"no scheme", operator.ChangesToken, token, "s3cret", wrong, 401},
		{"other scheme", operator.ChangesToken, token, "Basic s3cret", wrong, 401},
		{"no token of ours", operator.ChangesToken, "", "Bearer ", "unset", 403},
		{"no token of ours, none shown", operator.ChangesToken, "", "", "unset", 403},
		{"open", operator.ChangesOpen, "", "", "", 0},
		{"open in spite of a token", operator.ChangesOpen, token, "", "", 0},
		{"off", operator.ChangesOff, token, "Bearer s3cret", "closed", 403},
		{"not set", "", token, "Bearer s3cret", "closed", 403},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &operator.Door{Changes: test.changes, Token: test.token, Words: words}
			err := d.Authorise(get("Authorization: " + test.shown))
			if test.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil || scoring.AsError(err).Message != test.want || operator.StatusOf(err) != test.status {
				t.Fatalf("got %v, want %d %s", err, test.status, test.want)
			}
			w := httptest.NewRecorder()
			d.Failing(w, get(), err).Send()
			challenge := ""
			if test.status == 401 {
				challenge = `Bearer realm="the realm"`
			}
			if got := w.Header().Get("WWW-Authenticate"); got != challenge {
				t.Errorf("got the challenge %q, want %q", got, challenge)
			}
		})
	}
	open := &operator.Door{Changes: operator.ChangesOpen, Words: words}
	if err := open.Authorise(get("Sec-Fetch-Site: cross-site")); scoring.CodeOf(err) != scoring.Denied || scoring.AsError(err).Message != "foreign" {
		t.Errorf("got %v for a page of another site", err)
	}
	if err := open.Authorise(get("Sec-Fetch-Site: same-origin", "Origin: https://onda.example.com")); err != nil {
		t.Errorf("got %v for a page of ours", err)
	}
}

func TestActor(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, actor, app, want string }{
		{"nobody", "", "", "anonymous"},
		{"person", "ann@laptop", "", "ann@laptop"},
		{"app", "", "shop", "shop"},
		{"both", "ann", "shop", "ann via shop"},
		{"other scripts", "Ánn 王", "", "Ánn 王"},
		{"not printable", "an\u00a0n\u200b\u202e", "", "ann"},
		{"not UTF-8", "a\xffb", "", "ab"},
		{"spaces", "  ann  ", "", "ann"},
		{"only spaces", "   ", "shop", "shop"},
		{"us", "onda", "", "a caller named onda"},
		{"us in other letters", "ONDA", "shop", "a caller named ONDA via shop"},
		{"long", strings.Repeat("a", 127) + "é", "", strings.Repeat("a", 127)},
		{"longest", strings.Repeat("a", 126) + "é", "", strings.Repeat("a", 126) + "é"},
	}
	for _, test := range tests {
		if got := operator.Actor(get("X-Onda-Actor: "+test.actor, "Dapr-Caller-App-Id: "+test.app)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /a", "PUT /a", "HEAD /b", "/"} {
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	for path, want := range map[string]string{
		"/a":                           "method POST is not allowed here: use GET or PUT",
		"/b":                           "method POST is not allowed here: use HEAD",
		"/c":                           "there is nothing at POST /c: want /a",
		"/" + strings.Repeat("c", 130): "there is nothing at POST /" + strings.Repeat("c", 119) + "...: want /a",
	} {
		err := operator.Unknown(mux, httptest.NewRequest(http.MethodPost, path, nil), "/a")
		status := 405
		if strings.HasPrefix(want, "there") {
			status = 404
		}
		if scoring.AsError(err).Message != want || operator.StatusOf(err) != status {
			t.Errorf("%s: got %d %v, want %d %s", path, operator.StatusOf(err), err, status, want)
		}
	}
}

// broken is a body that breaks off.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		gone  bool // the caller left
		body  io.Reader
		want  string
		text  string
		close bool
	}{
		{"none", false, nil, "", "", false},
		{"longest", false, strings.NewReader("12345"), "12345", "", false},
		{"too long", false, strings.NewReader("123456"), "", "http: request body too large", true},
		{"cut off", false, broken{io.ErrUnexpectedEOF}, "", "Invalid: the body is cut off: fewer bytes arrived than were announced", true},
		{"too slow", false, broken{os.ErrDeadlineExceeded}, "", "Expired: the body did not arrive within 7s", true},
		{"damaged", false, broken{errors.New("bad chunk")}, "", "Invalid: the body could not be read: it is damaged", true},
		{"caller who left", true, broken{errors.New("gone")}, "", scoring.AsError(context.Canceled).Error(), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, end := context.WithCancel(t.Context())
			defer end()
			if test.gone {
				end()
			}
			d := &operator.Door{ReadTimeout: 7 * time.Second}
			w, r := httptest.NewRecorder(), operator.Watched(httptest.NewRequestWithContext(ctx, http.MethodPost, "/", test.body))
			got, err := d.Read(w, r, 5)
			if string(got) != test.want || (err == nil) != (test.text == "") || err != nil && !strings.HasPrefix(err.Error(), test.text) {
				t.Errorf("got %q, %v, want %q, %s", got, err, test.want, test.text)
			}
			operator.Abandon(w, r)
			if closes := w.Header().Get("Connection") == "close"; closes != test.close {
				t.Errorf("closes the connection: %t, want %t", closes, test.close)
			}
		})
	}
}

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	for kind, ok := range map[string]bool{"application/json": true, "Application/JSON; charset=utf-8": true, "": false, "text/plain": false, "application/json-patch": false} {
		if err := operator.CheckJSON(get("Content-Type: " + kind)); (err == nil) != ok || err != nil && scoring.CodeOf(err) != scoring.UnsupportedMedia {
			t.Errorf("%q: got %v", kind, err)
		}
	}
}

// TestFailing has the right level of the log for each failure, and its headers.
func TestFailing(t *testing.T) {
	t.Parallel()
	cause := errors.New("the store is away")
	for level, err := range map[string]error{
		"debug": scoring.Errorf(scoring.Unavailable, "later").WithRetryAfter(1500 * time.Millisecond),
		"warn":  scoring.Errorf(scoring.Unavailable, "later").WithRetryAfter(1500 * time.Millisecond).WithCause(cause),
		"error": scoring.Errorf(scoring.Internal, "oops").WithRetryAfter(1500 * time.Millisecond).WithCause(cause),
	} {
		var log bytes.Buffer
		d := &operator.Door{Log: zerolog.New(&log)}
		w := httptest.NewRecorder()
		d.Failing(w, get(), err).Msg("refused")
		if !strings.Contains(log.String(), `"level":"`+level+`"`) || w.Header().Get("Retry-After") != "2" {
			t.Errorf("%s: got %s and %v", level, log.String(), w.Header())
		}
	}
}

func TestCaught(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	d := &operator.Door{Log: zerolog.New(&log)}
	want := errors.New("no")
	if err := d.Caught(func() error { return want }); !errors.Is(err, want) || log.Len() > 0 {
		t.Errorf("got %v and %s", err, log.String())
	}
	if err := d.Caught(func() error { panic("oops") }); scoring.CodeOf(err) != scoring.Internal || strings.Contains(err.Error(), "oops") || !strings.Contains(log.String(), `"panic":"oops"`) {
		t.Errorf("got %v and %s", err, log.String())
	}
}

// TestAnswerThatIsNoJSON is an error of ours.
func TestAnswerThatIsNoJSON(t *testing.T) {
	t.Parallel()
	d := &operator.Door{Log: zerolog.Nop()}
	w := httptest.NewRecorder()
	d.Answer(w, http.StatusOK, func() {})
	if w.Code != 500 || w.Header().Get("Content-Type") != "application/json" || !strings.HasPrefix(w.Body.String(), `{"error":"internal error`) {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	d.Answer(w, http.StatusCreated, "a<b")
	if w.Code != 201 || w.Body.String() != `"a<b"` || w.Header().Get("Content-Length") != "5" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// leaving is a caller who leaves after some lines.
type leaving struct {
	*httptest.ResponseRecorder

	lines, writes int
}

func (l *leaving) Write(p []byte) (int, error) {
	l.writes++
	if l.writes > l.lines {
		return 0, errors.New("broken pipe")
	}
	return l.ResponseRecorder.Write(p)
}

// TestLines are written at once, and no more to a caller who left.
func TestLines(t *testing.T) {
	t.Parallel()
	w := &leaving{ResponseRecorder: httptest.NewRecorder(), lines: 2}
	lines := operator.NewLines(w)
	for _, v := range []any{map[string]int{"a": 1}, func() {}, 3, 4} {
		lines.Write(v)
	}
	if want := "{\"a\":1}\n{\"error\":\"internal error"; !strings.HasPrefix(w.Body.String(), want) || strings.Count(w.Body.String(), "\n") != 2 || w.writes != 3 {
		t.Errorf("got %q in %d writes", w.Body, w.writes)
	}
	if w.Code != 200 || w.Header().Get("Content-Type") != operator.LinesType || !w.Flushed {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}
