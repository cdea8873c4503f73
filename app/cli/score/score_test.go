package score_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/score"
	"github.com/onda-serving/onda/app/offline"
	"github.com/onda-serving/onda/app/scoring"
)

// fake is an engine that finds the same for all texts, and nothing for "bad".
type fake struct{}

func (fake) Model() offline.Model {
	return offline.Model{ID: scoring.ModelID{Name: "faq", Version: 2}, Pipeline: "text", MaxRows: 4}
}
func (fake) Close(context.Context) error { return nil }
func (fake) Infer(context.Context, *scoring.InferRequest) (*scoring.InferResponse, error) {
	return nil, scoring.Errorf(scoring.Internal, "not asked")
}

func (fake) Predict(_ context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	resp := &scoring.PredictResponse{}
	for _, i := range req.Instances {
		if string(i.Data) == "bad" {
			return nil, scoring.Errorf(scoring.Invalid, "bad")
		}
		resp.Predictions = append(resp.Predictions, scoring.Matches{})
	}
	return resp, nil
}

func TestScore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, args, text string
		code             int
		want             string
	}{
		{"fine", "--model faq@2", `"a"`, 0, "1 row, 0 errors"},
		{"label", "--model faq:live", `"a"`, 0, "1 row, 0 errors"},
		{"path", "--model faq/versions/2", `"a"`, 0, "1 row, 0 errors"},
		{"row errors", "--model faq", "\"a\"\n\"bad\"\n", 2, "1 row could not be scored"},
		{"too many", "--model faq --max-errors 0", "\"bad\"\n\"a\"\n", 1, "--max-errors"},
		{"no model", "", "", 2, "--model is missing"},
		{"wrong model", "--model faq@0", "", 2, `version "0": want a positive whole number`},
		{"wrong number", "--model faq --batch -1", "", 2, "want 0 or more"},
		{"wrong format", "--model faq --input-format xml", "", 2, `--input-format "xml": want jsonl, csv, parquet, folder`},
		{"nothing began", "--model faq --input-format csv", "question\nwhy\n", 1, "in.jsonl: the column text is missing: model faq@2 needs it, and the header has question"},
		{"wrong bound", "--model faq --max-errors -2", "", 2, "or -1 for any number"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in := filepath.Join(dir, "in.jsonl")
			if err := os.WriteFile(in, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			root := command.Group("onda", "Onda.", score.New(func(_ context.Context, _ *cobra.Command, ref scoring.ModelRef) (score.Engine, score.Defaults, error) {
				if ref.Name != "faq" {
					t.Errorf("got %v, want faq", ref)
				}
				return fake{}, score.Defaults{Concurrency: 2}, nil
			}))
			args := append([]string{"score", "--input", in, "--output", filepath.Join(dir, "out.jsonl")}, strings.Fields(test.args)...)
			var out, errs bytes.Buffer
			if got := command.Run(t.Context(), root, args, &out, &errs); got != test.code || !strings.Contains(errs.String(), test.want) {
				t.Errorf("got %d and %s, want %d and %q", got, errs.String(), test.code, test.want)
			}
			if strings.Contains(errs.String(), " 0 rows") {
				t.Errorf("got %s, want no count of nothing", errs.String())
			}
		})
	}
}
