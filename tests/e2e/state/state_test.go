// Package state_test holds the sidecar's client to its promises on real state stores,
// through a real sidecar: the rules of ETags that the registry is built on, and what happens
// when a store goes away and comes back.
package state_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/sidecar"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// connect gives a client of a new sidecar, of an app of its own, on a backend.
func connect(t *testing.T, b ondatest.Backend) *sidecar.Client {
	t.Helper()
	appID := "state-" + strings.ToLower(rand.Text()[:10])
	return clientOf(t, ondatest.StartSidecar(t, ondatest.SidecarOptions{AppID: appID, Components: ondatest.Components(t, appID, b)}))
}

func clientOf(t *testing.T, s *ondatest.Sidecar) *sidecar.Client {
	t.Helper()
	c, err := sidecar.New(sidecar.Config{
		GRPCAddress: ondatest.Loopback(s.GRPCPort), HTTPAddress: "http://" + ondatest.Loopback(s.HTTPPort), StateStore: "statestore", PubSub: "pubsub",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// onEach runs a test on each of the stores that Onda brings components for.
func onEach(t *testing.T, test func(t *testing.T, b ondatest.Backend)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, ondatest.Redis(t).Backend())
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, ondatest.SQLite(filepath.Join(t.TempDir(), "state.db")))
	})
}

// keys are of the kinds that the registry uses.
var keys = []string{"registry:model:image-classification", "registry:index"}

func TestETags(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b ondatest.Backend) {
		c := connect(t, b)
		for _, key := range keys {
			if value, etag, err := c.Get(t.Context(), key); err != nil || len(value) != 0 || etag != "" {
				t.Fatalf("%s, which is not there: got %q, %q, %v, want nothing", key, value, etag, err)
			}
			save(t, c, key, `{"n":1}`, "")
			first := read(t, c, key, `{"n":1}`)
			if err := c.Save(t.Context(), key, []byte(`{"n":9}`), ""); scoring.CodeOf(err) != scoring.Conflict {
				t.Errorf("%s, created over one that is there: got %v, want Conflict", key, err)
			}
			if again := read(t, c, key, `{"n":1}`); again != first {
				t.Errorf("%s: a refused write changed the ETag from %s to %s", key, first, again)
			}
			save(t, c, key, `{"n":2}`, first)
			second := read(t, c, key, `{"n":2}`)
			for _, stale := range []string{first, "4711"} {
				if err := c.Save(t.Context(), key, []byte(`{"n":9}`), stale); scoring.CodeOf(err) != scoring.Conflict {
					t.Errorf("%s with ETag %s, where %s is there: got %v, want Conflict", key, stale, second, err)
				}
			}
			read(t, c, key, `{"n":2}`)
		}
	})
}

func save(t *testing.T, c *sidecar.Client, key, value, etag string) {
	t.Helper()
	if err := c.Save(t.Context(), key, []byte(value), etag); err != nil {
		t.Fatal(err)
	}
}

// read wants a document to be equal to want, and gives its ETag.
func read(t *testing.T, c *sidecar.Client, key, want string) (etag string) {
	t.Helper()
	value, etag, err := c.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if string(value) != want || etag == "" {
		t.Fatalf("%s: got %q with ETag %q, want %q", key, value, etag, want)
	}
	return etag
}

// TestNoUpdateIsLost has writers of two sidecars, as those of two replicas are, count in one
// document.
func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b ondatest.Backend) {
		const writers, each = 20, 50
		appID := "state-" + strings.ToLower(rand.Text()[:10])
		components := ondatest.Components(t, appID, b)
		var clients [2]*sidecar.Client
		for i := range clients {
			clients[i] = clientOf(t, ondatest.StartSidecar(t, ondatest.SidecarOptions{AppID: appID, Components: components}))
		}
		var all sync.WaitGroup
		conflicts := make([]int, writers)
		began := time.Now()
		for w := range writers {
			all.Go(func() {
				for range each {
					n, err := count(t.Context(), clients[w%len(clients)], keys[1])
					if conflicts[w] += n; err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		sum := 0
		for _, n := range conflicts {
			sum += n
		}
		t.Logf("%d increments with %d conflicts in %s", writers*each, sum, time.Since(began).Round(time.Millisecond))
		read(t, clients[0], keys[1], fmt.Sprintf(`{"n":%d}`, writers*each))
		if sum == 0 {
			t.Error("there was no conflict: the test tests nothing")
		}
	})
}

// count adds 1 to the number in a document, however often others are faster, and says how
// often they were.
func count(ctx context.Context, c *sidecar.Client, key string) (conflicts int, err error) {
	for ; ; conflicts++ {
		value, etag, err := c.Get(ctx, key)
		if err != nil {
			return conflicts, err
		}
		var document struct {
			N int `json:"n"`
		}
		if len(value) > 0 {
			if err := json.Unmarshal(value, &document); err != nil {
				return conflicts, err
			}
		}
		document.N++
		next, err := json.Marshal(document)
		if err != nil {
			return conflicts, err
		}
		err = c.Save(ctx, key, next, etag)
		if err == nil {
			return conflicts, nil
		}
		if scoring.CodeOf(err) != scoring.Conflict {
			return conflicts, err
		}
	}
}

// TestDocumentsComeBackAsTheyWere saves what a sidecar that takes JSON apart would change,
// and a document that is larger than any of the registry may become.
func TestDocumentsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	large, err := json.Marshal(map[string]string{"text": strings.Repeat("\u00e9\"\\\u2028x", 1<<17)})
	if err != nil {
		t.Fatal(err)
	}
	if len(large) < 1<<20 {
		t.Fatalf("the large document has %d bytes: want 1 MB", len(large))
	}
	documents := map[string]string{
		"numbers": `{"z":2.2e-06,"share":0.3333333333333333,"bytes":9007199254740993,"whole":1e3}`,
		"text":    `{"why":"<&> \u2028 \u0000"}`, "spaces": "{\n  \"n\" : 1\n}", "large": string(large),
	}
	onEach(t, func(t *testing.T, b ondatest.Backend) {
		c := connect(t, b)
		for name, value := range documents {
			save(t, c, name, value, "")
			got, etag, err := c.Get(t.Context(), name)
			if err != nil || etag == "" {
				t.Errorf("%s: ETag %q, %v", name, etag, err)
			}
			if string(got) != value {
				t.Errorf("%s: %d bytes %.100q came back of %d %.100q", name, len(got), got, len(value), value)
			}
		}
	})
}

// TestDocumentsSurviveTheSidecar starts the sidecar again: the documents, and the ETags that
// a replica knows, must still hold.
func TestDocumentsSurviveTheSidecar(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b ondatest.Backend) {
		appID := "state-" + strings.ToLower(rand.Text()[:10])
		s := ondatest.StartSidecar(t, ondatest.SidecarOptions{AppID: appID, Components: ondatest.Components(t, appID, b)})
		c := clientOf(t, s)
		save(t, c, keys[0], `{"n":1}`, "")
		etag := read(t, c, keys[0], `{"n":1}`)
		s.Kill()
		if _, _, err := c.Get(t.Context(), keys[0]); err == nil {
			t.Error("there was an answer without a sidecar")
		}
		s.Restart()
		eventually(t, "the client finds the sidecar again", func() error {
			_, _, err := c.Get(t.Context(), keys[0])
			return err
		})
		save(t, c, keys[0], `{"n":2}`, etag)
	})
}

// TestRedisGoesAway kills Redis, and freezes it, so that it takes connections and says
// nothing. Calls must fail in a bounded time, and not as a conflict with somebody. Once it is
// back they must work again, with what was saved.
func TestRedisGoesAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		away, back func(*ondatest.RedisServer)
	}{
		{"killed", func(r *ondatest.RedisServer) { r.Kill() }, (*ondatest.RedisServer).Restart},
		{"frozen", func(r *ondatest.RedisServer) { r.Freeze() }, func(r *ondatest.RedisServer) { r.Thaw() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			redis := ondatest.Redis(t)
			client := connect(t, redis.Backend())
			save(t, client, keys[0], `{"n":1}`, "")
			etag := read(t, client, keys[0], `{"n":1}`)
			c.away(redis)
			callsFail(t, client, etag)
			c.back(redis)
			eventually(t, "reading works again", func() error {
				value, now, err := client.Get(t.Context(), keys[0])
				if err == nil && (string(value) != `{"n":1}` && string(value) != `{"n":9}`) {
					err = fmt.Errorf("got %s with ETag %s", value, now)
				}
				return err
			})
			n, err := count(t.Context(), client, keys[0])
			if err != nil {
				t.Errorf("a change after %d tries: %v", n, err)
			}
		})
	}
}

// callsFail makes every kind of call to a store that is gone, with a deadline and without.
func callsFail(t *testing.T, c *sidecar.Client, etag string) {
	t.Helper()
	// bound is what a call may take: four tries of up to two seconds, as resiliency.yaml and
	// statestore.yaml say, and as much again to find out what became of a write.
	const bound, short = 20 * time.Second, 300 * time.Millisecond
	calls := map[string]func(context.Context) error{
		"get":    func(ctx context.Context) error { _, _, err := c.Get(ctx, keys[0]); return err },
		"save":   func(ctx context.Context) error { return c.Save(ctx, keys[0], []byte(`{"n":9}`), etag) },
		"create": func(ctx context.Context) error { return c.Save(ctx, keys[1], []byte(`{"n":9}`), "") },
	}
	var all sync.WaitGroup
	for name, call := range calls {
		fails := func(ctx context.Context, deadline string, bound time.Duration) {
			began := time.Now()
			err := call(ctx)
			took := time.Since(began).Round(time.Millisecond)
			t.Logf("%s %s: %v after %s", name, deadline, err, took)
			if err == nil || scoring.CodeOf(err) == scoring.Conflict || took > bound {
				t.Errorf("%s %s: %v after %s, want an error that is no conflict within %s", name, deadline, err, took, bound)
			}
		}
		all.Go(func() { fails(t.Context(), "without a deadline", bound) })
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), short)
			defer cancel()
			fails(ctx, "with a short deadline", 4*short)
		})
	}
	all.Wait()
}

// eventually looks until there is no error any more.
func eventually(t *testing.T, what string, look func() error) {
	t.Helper()
	for deadline := time.Now().Add(ondatest.Patience); ; time.Sleep(20 * time.Millisecond) {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, ondatest.Patience, err)
		}
	}
}

// TestForgetting has the store keep a document for a time: what was answered to an event is
// kept so, and a first write must be the first until then, and may come again after it.
func TestForgetting(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b ondatest.Backend) {
		c := connect(t, b)
		const key, ttl = "answer:1", 2 * time.Second
		if err := c.SaveFor(t.Context(), key, []byte(`{"n":1}`), "", ttl); err != nil {
			t.Fatal(err)
		}
		if err := c.SaveFor(t.Context(), key, []byte(`{"n":9}`), "", ttl); scoring.CodeOf(err) != scoring.Conflict {
			t.Errorf("a second first write: got %v, want Conflict", err)
		}
		first := read(t, c, key, `{"n":1}`)
		if err := c.SaveFor(t.Context(), key, []byte(`{"n":2}`), first, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := c.SaveFor(t.Context(), key, []byte(`{"n":9}`), first, ttl); scoring.CodeOf(err) != scoring.Conflict {
			t.Errorf("a stale ETag: got %v, want Conflict", err)
		}
		const short = "answer:2"
		if err := c.SaveFor(t.Context(), short, []byte(`{}`), "", ttl); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the store forgets "+short, func() error {
			value, _, err := c.Get(t.Context(), short)
			if err == nil && len(value) > 0 {
				err = fmt.Errorf("there is %s", value)
			}
			return err
		})
		if err := c.SaveFor(t.Context(), short, []byte(`{"n":3}`), "", time.Hour); err != nil {
			t.Errorf("a first write after it was forgotten: %v", err)
		}
		read(t, c, short, `{"n":3}`)
		read(t, c, key, `{"n":2}`) // the later time counts
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b ondatest.Backend) {
		c := connect(t, b)
		save(t, c, keys[0], `{"n":1}`, "")
		first := read(t, c, keys[0], `{"n":1}`)
		save(t, c, keys[0], `{"n":2}`, first)
		if err := c.Delete(t.Context(), keys[0], first); scoring.CodeOf(err) != scoring.Conflict {
			t.Errorf("with a stale ETag: got %v, want Conflict", err)
		}
		if err := c.Delete(t.Context(), keys[0], read(t, c, keys[0], `{"n":2}`)); err != nil {
			t.Fatal(err)
		}
		if value, _, err := c.Get(t.Context(), keys[0]); err != nil || len(value) != 0 {
			t.Errorf("got %q, %v after it was removed", value, err)
		}
		save(t, c, keys[0], `{"n":3}`, "")
	})
}
