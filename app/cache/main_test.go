package cache_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	other  = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// roomy is more than any test keeps.
const roomy = 1 << 30

// numbers is a request with one input of bytes.
func numbers(shape []int64, data ...byte) *scoring.InferRequest {
	return &scoring.InferRequest{Inputs: []scoring.Tensor{{Name: "x", Datatype: scoring.Uint8, Shape: shape, Data: data}}}
}

// words is a request with one input of strings.
func words(elements ...string) *scoring.InferRequest {
	t := scoring.Tensor{Name: "x", Datatype: scoring.Bytes, Shape: []int64{int64(len(elements))}}
	for _, e := range elements {
		t.Strings = append(t.Strings, []byte(e))
	}
	return &scoring.InferRequest{Inputs: []scoring.Tensor{t}}
}

// texts is a request for predictions.
func texts(instances ...string) *scoring.PredictRequest {
	req := &scoring.PredictRequest{}
	for _, text := range instances {
		req.Instances = append(req.Instances, scoring.Instance{Kind: scoring.Text, Data: []byte(text)})
	}
	return req
}

// keyOf names an answer by a word.
func keyOf(word string) cache.Key { return cache.PredictKey(digest, texts(word)) }

// gives is a computation of a value with a size.
func gives(value any, size int64) cache.Compute {
	return func(context.Context) (any, int64, error) { return value, size, nil }
}

// fails is a computation that fails.
func fails(err error) cache.Compute {
	return func(context.Context) (any, int64, error) { return nil, 0, err }
}

// put has the cache compute and keep a value of 0 bytes.
func put(t *testing.T, c *cache.Cache, key cache.Key, ttl time.Duration, value any) {
	t.Helper()
	if _, hit, err := c.Do(t.Context(), key, ttl, gives(value, 0)); err != nil || hit {
		t.Fatalf("put %v: hit %v, error %v; want a new computation", value, hit, err)
	}
}

// has says whether the cache keeps an answer; if so, it must be want.
func has(t *testing.T, c *cache.Cache, key cache.Key, want any) bool {
	t.Helper()
	missing := scoring.Errorf(scoring.Invalid, "missing")
	got, hit, err := c.Do(t.Context(), key, time.Hour, fails(missing))
	if !hit {
		if err != missing {
			t.Errorf("error %v, want the computation's own", err)
		}
		return false
	}
	if got != want || err != nil {
		t.Errorf("got %v, %v; want %v: an answer of something else", got, err, want)
	}
	return true
}
