package wire

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// decodeShape reads the "shape" of a tensor, which is well-formed JSON, into t.
// encoding/json would make a number of every dimension before anybody could count them.
func decodeShape(t *scoring.Tensor, raw json.RawMessage) error {
	if raw[0] != '[' {
		return shapeError(raw, "an array")
	}
	t.Shape = []int64{}
	dimensions := 0
	list := bytes.TrimSpace(raw[1 : len(raw)-1])
	for more := len(list) > 0; more; dimensions++ {
		var item []byte
		item, list, more = bytes.Cut(list, []byte{','})
		item = bytes.TrimSpace(item)
		d, err := strconv.ParseInt(string(item), 10, 64)
		if err != nil {
			return shapeError(item, "a whole number")
		}
		if dimensions < maxDepth {
			t.Shape = append(t.Shape, d)
		}
	}
	if dimensions > maxDepth {
		return scoring.Errorf(scoring.Invalid, "input %q: shape has %d dimensions: at most %d are allowed", clip(t.Name), dimensions, maxDepth)
	}
	return nil
}

// shapeError says what stands where something else belongs in a shape.
func shapeError(raw []byte, want string) error {
	// Enough of it for clip to see that there is more.
	raw = raw[:min(len(raw), 100)]
	kind := "number"
	switch raw[0] {
	case '"':
		kind = "string"
	case '{':
		kind = "object"
	case '[':
		kind = "array"
	case 't', 'f':
		kind = "bool"
	case 'n':
		kind = "null"
	default:
		if want != "an array" {
			kind += " " + string(raw)
		}
	}
	return scoring.Errorf(scoring.Invalid, `the body: "inputs.shape" is a JSON %s: want %s`, clip(kind), want)
}
