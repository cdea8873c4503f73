package portal

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script is a sidecar without a network, so that its time can be virtual. It
// gives one answer after the other, the last one for ever.
type script struct {
	answers []scripted
	bodies  []string
	budgets []string
	at      []time.Time
}

type scripted struct {
	status     int
	retryAfter string
}

// RoundTrip implements http.RoundTripper.
func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	s.bodies = append(s.bodies, string(body))
	s.budgets = append(s.budgets, r.Header.Get("X-Request-Timeout-Ms"))
	s.at = append(s.at, time.Now())

	next := s.answers[min(len(s.bodies), len(s.answers))-1]
	resp := &http.Response{StatusCode: next.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}
	if next.retryAfter != "" {
		resp.Header.Set("Retry-After", next.retryAfter)
	}

	return resp, nil
}

func TestRetry(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		name    string
		answers []scripted
		status  int
		tries   int
		took    time.Duration
	}{
		{"answered", []scripted{{200, ""}}, 200, 1, 0},
		{"busy once", []scripted{{429, "2"}, {200, ""}}, 200, 2, 2 * time.Second},
		{"loading twice", []scripted{{503, "1"}, {503, "3"}, {200, ""}}, 200, 3, 4 * time.Second},
		{"always busy", []scripted{{429, "1"}}, 429, 3, 2 * time.Second},
		{"at once", []scripted{{503, "0"}, {200, ""}}, 200, 2, minPause},
		{"longer than the budget", []scripted{{503, "10"}}, 503, 1, 0},
		{"budget used up", []scripted{{503, "6"}, {503, "6"}}, 503, 2, 6 * time.Second},
		{"not asked to", []scripted{{503, ""}}, 503, 1, 0},
		{"no sense", []scripted{{503, "soon"}}, 503, 1, 0},
		{"error", []scripted{{500, "1"}}, 500, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				onda := &script{answers: test.answers}
				c := client{http: &http.Client{Transport: onda}, prefix: "http://sidecar/"}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began := time.Now()

				resp, err := c.invoke(ctx, &call{verb: "POST", path: "x", body: &replay{src: strings.NewReader("why?")}, length: 4})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = resp.Body.Close() }()

				if resp.StatusCode != test.status || len(onda.bodies) != test.tries || time.Since(began) != test.took {
					t.Errorf("got %d after %d tries and %v, want %d after %d and %v",
						resp.StatusCode, len(onda.bodies), time.Since(began), test.status, test.tries, test.took)
				}
				for i, body := range onda.bodies {
					left := strconv.FormatInt((10*time.Second - onda.at[i].Sub(began)).Milliseconds(), 10)
					if body != "why?" || onda.budgets[i] != left {
						t.Errorf("try %d had body %q and budget %s, want the whole body and %s", i+1, body, onda.budgets[i], left)
					}
				}
			})
		})
	}
}

func TestRetryEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		onda := &script{answers: []scripted{{429, "5"}}}
		c := client{http: &http.Client{Transport: onda}, prefix: "http://sidecar/"}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()

		_, err := c.invoke(ctx, &call{verb: "POST", path: "x", body: &replay{src: strings.NewReader("")}}) //nolint:bodyclose // none comes

		if !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()

	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"", 0, false},
		{"0", 0, true},
		{"120", 2 * time.Minute, true},
		{"-1", 0, false},
		{"1.5", 0, false},
		{"18446744073709551615", 1 << 31 * time.Second, true},
		{"Fri, 01 May 2026 12:00:30 GMT", 30 * time.Second, true},
		{"Fri, 01 May 2026 11:00:00 GMT", -time.Hour, true},
		{"tomorrow", 0, false},
	} {
		got, ok := parseRetryAfter(test.value, now)
		if got != test.want || ok != test.ok {
			t.Errorf("%q is %v, %v; want %v, %v", test.value, got, ok, test.want, test.ok)
		}
	}
}

// TestReplayOverlap reads for two tries at once, as a transport may do when a
// try is answered before its body has been sent.
func TestReplayOverlap(t *testing.T) {
	t.Parallel()

	body := &replay{src: strings.NewReader("0123456789")}
	first, second := body.open(), body.open()
	some := make([]byte, 4)
	if _, err := io.ReadFull(first, some); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(second)
	if err != nil || string(got) != "0123456789" {
		t.Errorf("second try read %q, %v", got, err)
	}
	rest, err := io.ReadAll(first)
	if err != nil || string(rest) != "456789" {
		t.Errorf("first try went on with %q, %v", rest, err)
	}
	_ = first.Close()
	if _, err := first.Read(some); !errors.Is(err, errBodyClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()

	for address, want := range map[string]bool{
		"localhost": true, "LOCALHOST:8090": true, "127.0.0.1:80": true, "127.9.9.9": true, "[::1]:8090": true, "[::1]": true,
		"": false, ":8090": false, "0.0.0.0:8090": false, "example.com": false, "localhost.example.com": false,
		"127.0.0.1.example.com": false, "10.0.0.1:8090": false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("%q: got %v", address, got)
		}
	}
}
