package cache_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

// randomRequest is small and of few letters, so that requests are often equal, and more
// often almost: the same bytes in other shapes, elements, inputs or names.
func randomRequest(r *rand.Rand) *scoring.InferRequest {
	bytes := func(most int) []byte {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = byte(r.IntN(3))
		}
		return b
	}
	req := &scoring.InferRequest{}
	for i := range 1 + r.IntN(2) {
		t := scoring.Tensor{Name: "xy"[i : i+1+r.IntN(2-i)], Datatype: scoring.Uint8 + scoring.Datatype(r.IntN(2))}
		for range r.IntN(4) {
			t.Shape = append(t.Shape, int64(r.IntN(4)))
		}
		if r.IntN(2) == 0 {
			t.Data = bytes(7)
		} else {
			for range r.IntN(4) {
				t.Strings = append(t.Strings, bytes(3))
			}
		}
		req.Inputs = append(req.Inputs, t)
	}
	for range r.IntN(3) {
		req.Outputs = append(req.Outputs, scoring.Output{Name: string(bytes(1)), Classes: r.IntN(3)})
	}
	return req
}

// content writes all that decides the answer as text, for comparison with the key. It
// shares no idea with the key's encoding: quoted strings and commas.
func content(b []byte, req *scoring.InferRequest) []byte {
	inputs := slices.Clone(req.Inputs)
	slices.SortStableFunc(inputs, func(a, b scoring.Tensor) int { return strings.Compare(a.Name, b.Name) })
	for i := range inputs {
		t := &inputs[i]
		b = append(strconv.AppendQuote(b, t.Name), t.Datatype.String()...)
		for _, d := range t.Shape {
			b = strconv.AppendInt(append(b, ','), d, 10)
		}
		b = append(b, ':')
		for _, e := range t.Data {
			b = strconv.AppendUint(append(b, ','), uint64(e), 10)
		}
		for _, s := range t.Strings {
			b = append(b, '\'')
			for _, e := range s {
				b = strconv.AppendUint(append(b, ','), uint64(e), 10)
			}
		}
		b = append(b, ';')
	}
	for _, o := range req.Outputs {
		b = strconv.AppendInt(strconv.AppendQuote(append(b, '>'), o.Name), int64(o.Classes), 10)
	}
	return b
}

// TestMillionRequestsWithoutAWrongKey compares keys with the requests' whole content, both
// ways: no key for two contents, no two keys for one content.
func TestMillionRequestsWithoutAWrongKey(t *testing.T) {
	t.Parallel()
	requests := 1_000_000
	if raceEnabled || testing.Short() {
		requests = 50_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	byContent := make(map[string]cache.Key, requests)
	keys := make(map[cache.Key]struct{}, requests)
	var text []byte
	for range requests {
		req := randomRequest(r)
		key := cache.InferKey(digest, req)
		text = content(text[:0], req)
		before, found := byContent[string(text)]
		switch {
		case !found:
			byContent[string(text)] = key
			keys[key] = struct{}{}
		case before != key:
			t.Fatalf("two keys for %s", text)
		}
	}
	if len(keys) != len(byContent) {
		t.Errorf("%d keys for %d contents", len(keys), len(byContent))
	}
	if repeated := requests - len(byContent); repeated < requests/50 || len(byContent) < requests/2 {
		t.Errorf("%d of %d requests are repetitions: the test shows little", repeated, requests)
	}
}

// model is a cache as one would write it without caring for speed: a list, the latest used
// last.
type model struct {
	limit                            int
	entries                          []modelEntry
	hits, misses, evictions, expired uint64
}

type modelEntry struct {
	version, content string
	value            int
	cost             int
	expires          time.Time
}

func (m *model) get(version, content string) (value int, hit bool) {
	m.expire()
	at := slices.IndexFunc(m.entries, func(e modelEntry) bool { return e.version == version && e.content == content })
	if at < 0 {
		m.misses++
		return 0, false
	}
	e := m.entries[at]
	m.entries = append(slices.Delete(m.entries, at, at+1), e)
	m.hits++
	return e.value, true
}

func (m *model) put(e modelEntry) {
	m.expire()
	if e.cost > m.limit/8 || !time.Now().Before(e.expires) {
		return
	}
	for m.bytes()+e.cost > m.limit {
		m.entries = slices.Delete(m.entries, 0, 1)
		m.evictions++
	}
	m.entries = append(m.entries, e)
}

func (m *model) expire() {
	before := len(m.entries)
	m.entries = slices.DeleteFunc(m.entries, func(e modelEntry) bool { return !time.Now().Before(e.expires) })
	m.expired += uint64(before - len(m.entries))
}

func (m *model) forget(version string) {
	m.expire()
	m.entries = slices.DeleteFunc(m.entries, func(e modelEntry) bool { return e.version == version })
}

func (m *model) bytes() (sum int) {
	for _, e := range m.entries {
		sum += e.cost
	}
	return sum
}

// TestCacheDoesWhatTheModelDoes is a differential property test: random questions to three
// versions, values of random size and life, versions that go, and time that passes.
func TestCacheDoesWhatTheModelDoes(t *testing.T) {
	t.Parallel()
	overhead := overheadOf(t)
	versions := []string{digest, other, "sha256:cc"}
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			limit := 20_000 + r.IntN(40_000)
			c, m := cache.New(int64(limit)), &model{limit: limit}
			questions := make([]*scoring.InferRequest, 60)
			for i := range questions {
				questions[i] = randomRequest(r)
			}
			for step := range 3000 {
				switch r.IntN(40) {
				case 0:
					time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
					continue
				case 1:
					if version := versions[r.IntN(3)]; r.IntN(4) == 0 {
						c.Stats() // frees what has expired, as the model does all the time
						c.Forget(version)
						m.forget(version)
					}
					continue
				}
				req, version := questions[r.IntN(len(questions))], versions[r.IntN(3)]
				size, ttl := r.IntN(limit/6), time.Duration(r.IntN(5))*time.Second
				want, wantHit := m.get(version, string(content(nil, req)))
				got, hit, err := c.Do(t.Context(), cache.InferKey(version, req), ttl, gives(step, int64(size)))
				if err != nil || hit != wantHit || hit && got != want {
					t.Fatalf("seed %d, step %d: got %v, hit %v, %v; want %v, hit %v", seed, step, got, hit, err, want, wantHit)
				}
				if !hit {
					m.put(modelEntry{version, string(content(nil, req)), step, size + overhead, time.Now().Add(ttl)})
				}
			}
			m.expire()
			want := cache.Stats{
				Hits: m.hits, Misses: m.misses, Evictions: m.evictions, Expired: m.expired,
				Bytes: int64(m.bytes()), Entries: int64(len(m.entries)), Limit: int64(limit),
			}
			if got := c.Stats(); got != want {
				t.Errorf("seed %d: got %+v, want %+v", seed, got, want)
			}
			if m.hits < 100 || m.evictions < 100 || m.expired < 20 {
				t.Errorf("seed %d: %+v: the test shows little", seed, c.Stats())
			}
		})
	}
}

// overheadOf measures what the cache counts for an answer of 0 bytes.
func overheadOf(t *testing.T) int {
	t.Helper()
	c := cache.New(roomy)
	put(t, c, keyOf("a"), time.Hour, 1)
	return int(c.Stats().Bytes)
}

// FuzzInferKey takes a request apart at places that the fuzzer chooses: where the content
// differs, the key must.
func FuzzInferKey(f *testing.F) {
	f.Add([]byte("abc"), []byte("abc"), uint16(0x0302), uint16(0x0203), false)
	f.Add([]byte("ab\x00c"), []byte("ab\x00c"), uint16(1), uint16(2), true)
	f.Add([]byte{}, []byte{0}, uint16(0), uint16(0), true)
	f.Fuzz(func(t *testing.T, a, b []byte, formA, formB uint16, stringsOfA bool) {
		left, right := formed(a, formA, stringsOfA), formed(b, formB, false)
		same := string(content(nil, left)) == string(content(nil, right))
		if keys := cache.InferKey(digest, left) == cache.InferKey(digest, right); keys != same {
			t.Errorf("same content: %v, same key: %v\n%s\n%s", same, keys, content(nil, left), content(nil, right))
		}
	})
}

// formed makes a request of data, cut into strings where asked.
func formed(data []byte, form uint16, cut bool) *scoring.InferRequest {
	shape := []int64{int64(form >> 8), int64(form & 0xff)}
	if !cut {
		return numbers(shape, data...)
	}
	at := min(int(form&0xff), len(data))
	req := words(string(data[:at]), string(data[at:]))
	req.Inputs[0].Shape, req.Inputs[0].Datatype = shape, scoring.Uint8
	return req
}
