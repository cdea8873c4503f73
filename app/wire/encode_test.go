package wire_test

import (
	"math"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

func TestEncodePredict(t *testing.T) {
	t.Parallel()
	model := scoring.ModelID{Name: "image-classification", Version: 1, Digest: "sha256:b265"}
	tests := []struct {
		name, file string
		resp       scoring.PredictResponse
	}{
		{"classes", "classes.json", scoring.PredictResponse{Model: model, ID: "q-1", Predictions: []scoring.Prediction{
			scoring.Classes{Classes: []scoring.Class{{Index: 281, Label: "tabby, tabby cat", Score: .75}, {Index: 0, Label: `"<tench>" & co`, Score: 1e-7}}},
			scoring.Classes{Classes: []scoring.Class{{Index: 999, Label: "Klopapier (Rolle)", Score: 1}}},
		}}},
		{"matches", "matches.json", scoring.PredictResponse{Model: scoring.ModelID{Name: "faq-matching", Version: 12}, ID: "", Predictions: []scoring.Prediction{
			scoring.Matches{Matches: []scoring.Match{{ID: "a", Question: "Was heißt a && b?", Answer: "<b>Both</b>\n", Score: .9}}},
		}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := wire.EncodePredict(&test.resp)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, test.file, got)
		})
	}
}

func TestEncodePredictRefusesNaN(t *testing.T) {
	t.Parallel()
	resp := scoring.PredictResponse{Predictions: []scoring.Prediction{scoring.Classes{Classes: []scoring.Class{{Score: float32(math.NaN())}}}}}
	if got, err := wire.EncodePredict(&resp); err == nil {
		t.Errorf("got %s, want an error: JSON has no NaN", got)
	}
}

func TestEncodeError(t *testing.T) {
	t.Parallel()
	err := scoring.Errorf(scoring.Invalid, `instances[0]: want {"text": "..."} <here> & now`).WithCause(scoring.Errorf(scoring.Internal, "secret"))
	if got, want := string(wire.EncodeError(err)), `{"error":"instances[0]: want {\"text\": \"...\"} <here> & now"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMarshalRefuses(t *testing.T) {
	t.Parallel()
	if got, err := wire.Marshal(func() {}); err == nil {
		t.Errorf("got %s, want an error: a function has no JSON form", got)
	}
}
