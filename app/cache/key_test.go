package cache_test

import (
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

// two is a request with two inputs and two outputs.
func two() *scoring.InferRequest {
	return &scoring.InferRequest{
		Inputs: []scoring.Tensor{
			{Name: "a", Datatype: scoring.FP32, Shape: []int64{1, 1}, Data: []byte{0, 0, 128, 63}},
			{Name: "b", Datatype: scoring.Bytes, Shape: []int64{2}, Strings: [][]byte{[]byte("ab"), []byte("c")}},
		},
		Outputs: []scoring.Output{{Name: "y"}, {Name: "z", Classes: 3}},
	}
}

func TestInferKeyTellsApart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		a, b *scoring.InferRequest
	}{
		{"the same bytes in another shape", numbers([]int64{2, 3}, 1, 2, 3, 4, 5, 6), numbers([]int64{3, 2}, 1, 2, 3, 4, 5, 6)},
		{"the same bytes in another rank", numbers([]int64{6}, 1, 2, 3, 4, 5, 6), numbers([]int64{6, 1}, 1, 2, 3, 4, 5, 6)},
		{"a scalar and a vector of one", numbers(nil, 1), numbers([]int64{1}, 1)},
		{"other bytes", numbers([]int64{2}, 1, 2), numbers([]int64{2}, 2, 1)},
		{"strings with another boundary", words("ab", "c"), words("a", "bc")},
		{"an empty string more", words("ab"), words("ab", "")},
		{"an empty string first or last", words("", "ab"), words("ab", "")},
		{"strings and the same bytes", words("\x02"), numbers([]int64{1}, 2)},
		{"another name", two(), changed(func(r *scoring.InferRequest) { r.Inputs[0].Name = "A" })},
		{"names exchanged", two(), changed(func(r *scoring.InferRequest) { r.Inputs[0].Name, r.Inputs[1].Name = "b", "a" })},
		{"another datatype of the same size", two(), changed(func(r *scoring.InferRequest) { r.Inputs[0].Datatype = scoring.Int32 })},
		{"an input less", two(), changed(func(r *scoring.InferRequest) { r.Inputs = r.Inputs[:1] })},
		{"an input twice", two(), changed(func(r *scoring.InferRequest) { r.Inputs = append(r.Inputs, r.Inputs[1]) })},
		{"an output less", two(), changed(func(r *scoring.InferRequest) { r.Outputs = r.Outputs[:1] })},
		{"all outputs", two(), changed(func(r *scoring.InferRequest) { r.Outputs = nil })},
		{"another output", two(), changed(func(r *scoring.InferRequest) { r.Outputs[0].Name = "x" })},
		{"outputs in another order", two(), changed(func(r *scoring.InferRequest) { slices.Reverse(r.Outputs) })},
		{"another number of classes", two(), changed(func(r *scoring.InferRequest) { r.Outputs[1].Classes = 4 })},
		{"classes and the tensor", two(), changed(func(r *scoring.InferRequest) { r.Outputs[1].Classes = 0 })},
		{"classes of another output", two(), changed(func(r *scoring.InferRequest) { r.Outputs[0].Classes, r.Outputs[1].Classes = 3, 0 })},
		{"nothing and an empty input", &scoring.InferRequest{}, &scoring.InferRequest{Inputs: make([]scoring.Tensor, 1)}},
		{"an input and an output", &scoring.InferRequest{Inputs: make([]scoring.Tensor, 1)}, &scoring.InferRequest{Outputs: make([]scoring.Output, 1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if cache.InferKey(digest, tt.a) == cache.InferKey(digest, tt.b) {
				t.Error("one key for two questions")
			}
		})
	}
}

// changed is two() with a change.
func changed(change func(*scoring.InferRequest)) *scoring.InferRequest {
	req := two()
	change(req)
	return req
}

func TestInferKeyIsTheSame(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*scoring.InferRequest)
	}{
		{"for a copy", func(*scoring.InferRequest) {}},
		{"for inputs in another order", func(r *scoring.InferRequest) { slices.Reverse(r.Inputs) }},
		{"for another id", func(r *scoring.InferRequest) { r.ID = "7" }},
		{"for another way to name the version", func(r *scoring.InferRequest) { r.Model = scoring.ModelRef{Name: "m", Label: "live"} }},
		{"for another priority", func(r *scoring.InferRequest) { r.Schedule.Priority = 9 }},
		{"for empty instead of nil", func(r *scoring.InferRequest) { r.Inputs[0].Strings, r.Inputs[1].Data = [][]byte{}, []byte{} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if cache.InferKey(digest, two()) != cache.InferKey(digest, changed(tt.change)) {
				t.Error("two keys for one question")
			}
		})
	}
}

func TestInferKeyLeavesTheRequestAsItIs(t *testing.T) {
	t.Parallel()
	req := changed(func(r *scoring.InferRequest) { slices.Reverse(r.Inputs) })
	cache.InferKey(digest, req)
	if req.Inputs[0].Name != "b" {
		t.Error("the inputs were reordered: others read the request at the same time")
	}
}

func TestPredictKeyTellsApart(t *testing.T) {
	t.Parallel()
	binary := texts("a")
	binary.Instances[0].Kind = scoring.Binary
	five := texts("a")
	five.Parameters.TopK = 5
	tests := []struct {
		name string
		a, b *scoring.PredictRequest
	}{
		{"other bytes", texts("a"), texts("b")},
		{"another boundary", texts("ab", "c"), texts("a", "bc")},
		{"another order", texts("a", "b"), texts("b", "a")},
		{"once and twice", texts("a"), texts("a", "a")},
		{"text and binary data", texts("a"), binary},
		{"another top_k", texts("a"), five},
		{"none and an empty one", texts(), texts("")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if cache.PredictKey(digest, tt.a) == cache.PredictKey(digest, tt.b) {
				t.Error("one key for two questions")
			}
		})
	}
}

func TestTwoModelsWithOneInputHaveTwoKeys(t *testing.T) {
	t.Parallel()
	if cache.InferKey(digest, two()) == cache.InferKey(other, two()) {
		t.Error("tensors: one key for two models")
	}
	if cache.PredictKey(digest, texts("a")) == cache.PredictKey(other, texts("a")) {
		t.Error("instances: one key for two models")
	}
	// The digest ends where the request begins: no digest continues into a request.
	if cache.PredictKey(digest, texts("a")) == cache.PredictKey(digest+"a", texts("")) {
		t.Error("one key for two digests of different length")
	}
}

func TestTensorsAndInstancesHaveTwoKeys(t *testing.T) {
	t.Parallel()
	if cache.InferKey(digest, &scoring.InferRequest{}) == cache.PredictKey(digest, &scoring.PredictRequest{}) {
		t.Error("one key for an infer request and a predict request")
	}
}

func TestKeyWithoutADigestPanics(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]func(){
		"infer":   func() { cache.InferKey("", two()) },
		"predict": func() { cache.PredictKey("", texts("a")) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: got a key without a digest", name)
				}
			}()
			key()
		}()
	}
}

// TestKeysOfEverySizeDiffer walks over the sizes at which the encoder's room fills up.
func TestKeysOfEverySizeDiffer(t *testing.T) {
	t.Parallel()
	seen := map[cache.Key]string{}
	note := func(what string, key cache.Key) {
		if before, found := seen[key]; found {
			t.Fatalf("%s has the key of %s", what, before)
		}
		seen[key] = what
	}
	zeros := make([]byte, 1500)
	for n := range zeros {
		note("bytes", cache.InferKey(digest, numbers([]int64{1}, zeros[:n]...)))
		note("name", cache.InferKey(digest, &scoring.InferRequest{Outputs: []scoring.Output{{Name: string(zeros[:n])}}}))
		note("shape", cache.InferKey(digest, numbers(make([]int64, n))))
		note("strings", cache.InferKey(digest, words(make([]string, n+2)...)))
		note("text", cache.PredictKey(digest, texts(string(zeros[:n]))))
	}
}

func TestKeysOfUsualRequestsAllocateNothing(t *testing.T) {
	infer, predict := two(), texts("how do I get my money back?")
	if n := testing.AllocsPerRun(100, func() { cache.InferKey(digest, infer) }); n > 0 && !raceEnabled {
		t.Errorf("InferKey: %v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { cache.PredictKey(digest, predict) }); n > 0 && !raceEnabled {
		t.Errorf("PredictKey: %v allocations, want 0", n)
	}
}
