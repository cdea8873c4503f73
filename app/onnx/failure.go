package onnx

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// The binding passes on ONNX Runtime's texts, but not its error codes. What a caller can
// mend is therefore told from the text.

// sourcePlace is how many of the texts begin: with a place in the library's own source
// and, for some, the function and the condition there.
var sourcePlace = regexp.MustCompile(`\S*/onnxruntime/\S*\.(cc|h|cpp):\d+ `)

// misfit finds the complaints of operators about the shapes and values they are given.
// The list is of those that inputs can cause in a sound model; a text that is not here
// counts as Internal, because to take a passing fault for the caller's would lose the
// request.
var misfit = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`dimensions? mismatch`, `mismatched dimensions`, `incompatible dimensions`, `invalid dimensions`,
	`attempting to broadcast`, `cannot be reshaped`, `invalid expand shape`, `must match`,
	`out of data bounds`, `out of bounds`, `out of range`, `invalid rank`,
	`is not equal to kernel channels`, `unexpected input data type`,
}, "|"))

// loadError makes a public error of the library's refusal of a model. The library's text
// is about the model's file, which is what its owner needs to know.
func loadError(err error) error {
	text := sourcePlace.ReplaceAllString(err.Error(), "")
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return scoring.Errorf(scoring.Invalid, "ONNX Runtime cannot load the model: %s", text)
}

// runError makes the error of a failed run.
func runError(ctx context.Context, inputs []scoring.Tensor, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	var ours *scoring.Error
	switch {
	case errors.As(err, &ours):
		return err
	case misfit.MatchString(err.Error()):
		return scoring.Errorf(scoring.Invalid, "the model rejects inputs of these shapes or values: %s", listShapes(inputs)).WithCause(err)
	default:
		return scoring.Errorf(scoring.Internal, "the model failed; the server's log has the details").WithCause(err)
	}
}

// listShapes writes `"a" FP32 [2,3], "b" INT64 [4]`, with the end of long lists left out.
func listShapes(tensors []scoring.Tensor) string {
	const most = 8
	var b strings.Builder
	for i, t := range tensors {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == most {
			b.WriteString("...")
			break
		}
		b.WriteString(strconv.Quote(clip(t.Name)) + " " + t.Datatype.String() + " " + scoring.FormatShape(t.Shape))
	}
	return b.String()
}
