package e2e_test

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"
)

// The two models of the repository.
const (
	imageModel = "image-classification"
	faqModel   = "faq-matching"
)

// modelDir is the folder of a model's first version.
func modelDir(model string) string { return filepath.Join(root, "models", model, "1") }

// class is one class of an image prediction.
type class struct {
	Index int     `json:"index"`
	Label string  `json:"label"`
	Score float64 `json:"score"`
}

// match is one entry of a FAQ prediction.
type match struct {
	ID       string  `json:"id"`
	Question string  `json:"question"`
	Answer   string  `json:"answer"`
	Score    float64 `json:"score"`
}

// prediction is that of either kind of model.
type prediction struct {
	Classes []class `json:"classes"`
	Matches []match `json:"matches"`
}

// answer is what `:predict` answers.
type answer struct {
	Predictions []prediction `json:"predictions"`
	Model       struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Digest  string `json:"digest"`
	} `json:"model"`
	ID string `json:"id"`
}

// goldenCase is an instance with the prediction that its model's maker measured.
type goldenCase struct {
	prediction

	// picture or text is set.
	picture []byte
	text    string
}

// goldens are the cases of a model, with the tolerance for their scores.
type goldens struct {
	tolerance float64
	cases     []goldenCase
}

// golden reads golden.json of a model.
func golden(t *testing.T, model string) goldens {
	t.Helper()
	var file struct {
		Tolerance float64 `json:"tolerance"`
		Cases     []struct {
			prediction

			Instance json.RawMessage `json:"instance"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(read(t, filepath.Join(modelDir(model), "golden.json")), &file); err != nil {
		t.Fatalf("golden.json of %s: %s", model, err)
	}
	g := goldens{tolerance: file.Tolerance}
	for i, c := range file.Cases {
		var instance struct {
			File string `json:"file"`
			Text string `json:"text"`
		}
		if json.Unmarshal(c.Instance, &instance.Text) != nil {
			if err := json.Unmarshal(c.Instance, &instance); err != nil {
				t.Fatalf("golden.json of %s: cases[%d]: %s", model, i, err)
			}
		}
		found := goldenCase{prediction: c.prediction, text: instance.Text}
		if instance.File != "" {
			found.picture = read(t, filepath.Join(modelDir(model), instance.File))
		}
		g.cases = append(g.cases, found)
	}
	if len(g.cases) < 2 || g.tolerance <= 0 {
		t.Fatalf("golden.json of %s has %d cases and tolerance %v: want 2 cases or more, and a tolerance", model, len(g.cases), g.tolerance)
	}
	return g
}

// check holds a prediction against a case: the best first, and every score near the
// measured one. Entries of nearly the same score may change places.
func (g goldens) check(t *testing.T, got prediction, want goldenCase) {
	t.Helper()
	for i, c := range want.Classes[:min(len(want.Classes), len(got.Classes))] {
		if i == 0 && got.Classes[0].Index != c.Index {
			t.Errorf("best class is %d %q, want %d", got.Classes[0].Index, got.Classes[0].Label, c.Index)
		}
		g.near(t, i, got.Classes[i].Score, c.Score)
	}
	for i, m := range want.Matches[:min(len(want.Matches), len(got.Matches))] {
		if i == 0 && got.Matches[0].ID != m.ID {
			t.Errorf("best match is %q, want %q", got.Matches[0].ID, m.ID)
		}
		g.near(t, i, got.Matches[i].Score, m.Score)
	}
	for _, c := range got.Classes {
		if c.Label == "" {
			t.Errorf("class %d has no label", c.Index)
		}
	}
	for _, m := range got.Matches {
		if m.Question == "" || m.Answer == "" {
			t.Errorf("match %q has no question or no answer", m.ID)
		}
	}
}

func (g goldens) near(t *testing.T, rank int, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > g.tolerance {
		t.Errorf("score at rank %d is %v, want %v within %v", rank, got, want, g.tolerance)
	}
}

// scored is how many classes or matches there are.
func (p prediction) scored() int { return len(p.Classes) + len(p.Matches) }
