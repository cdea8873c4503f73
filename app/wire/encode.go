package wire

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// Model is how an answer names the version that gave it.
type Model struct {
	// Name of the model.
	Name string `json:"name"`
	// Version as decimal digits: the protocol has it as a string.
	Version string `json:"version"`
	// Digest of the artifact.
	Digest string `json:"digest"`
}

// PredictBody is the answer to a `:predict` request.
type PredictBody struct {
	// Predictions, one for each instance.
	Predictions []scoring.Prediction `json:"predictions"`
	// Model that answered.
	Model Model `json:"model"`
	// ID of the request.
	ID string `json:"id"`
}

// ModelOf makes the wire form of id.
func ModelOf(id scoring.ModelID) Model {
	return Model{Name: id.Name, Version: strconv.FormatInt(id.Version, 10), Digest: id.Digest}
}

// EncodePredict writes the answer to a `:predict` request as JSON.
func EncodePredict(resp *scoring.PredictResponse) ([]byte, error) {
	return Marshal(PredictBody{Predictions: resp.Predictions, Model: ModelOf(resp.Model), ID: resp.ID})
}

// EncodeError writes the body of a failure. It holds the public message and nothing else.
func EncodeError(e *scoring.Error) []byte {
	body, err := Marshal(map[string]string{"error": e.Message})
	if err != nil {
		return []byte(`{"error":"internal error"}`)
	}
	return body
}

// Marshal is json.Marshal without the escapes for HTML: answers and errors hold code
// such as "a && b", and people read them.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
