package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// predictDecoder reads the JSON of the V1 protocol. A picture of megabytes in it is walked
// once and decoded once.
type predictDecoder struct {
	reader

	limits     Limits
	req        scoring.PredictRequest
	parameters []byte
	// count is that of all instances; the request keeps no more than the limit allows.
	count                   int
	hasInstances, hasInputs bool
}

func decodeJSON(body []byte, limits Limits) (scoring.PredictRequest, error) {
	d := predictDecoder{reader: reader{where: "the body", text: body}, limits: limits}
	if err := d.root(d.field); err != nil {
		return scoring.PredictRequest{}, d.explain(err)
	}
	switch {
	case !d.hasInstances && d.hasInputs:
		return d.req, scoring.Errorf(scoring.Invalid, `"inputs": the column form is not supported by :predict: send {"instances": [...]}, or tensors to /v2/models/MODEL/infer`)
	case !d.hasInstances:
		return d.req, scoring.Errorf(scoring.Invalid, `"instances" is missing: want {"instances": [...]}`)
	case d.hasInputs:
		return d.req, scoring.Errorf(scoring.Invalid, `"instances" and "inputs" exclude each other: send "instances" alone`)
	case d.count == 0:
		return d.req, scoring.Errorf(scoring.Invalid, `"instances" is empty: want at least one`)
	}
	if err := checkCount(d.count, limits); err != nil {
		return d.req, err
	}
	var err error
	d.req.Parameters, err = DecodeParameters(d.parameters)
	return d.req, err
}

func (d *predictDecoder) field(key []byte) (err error) {
	switch string(key) {
	case "id":
		d.req.ID, err = d.textField("id")
	case "instances":
		d.hasInstances = true
		err = d.instances()
	case "inputs":
		d.hasInputs = true
		_, err = d.skip()
	case "parameters":
		d.parameters, err = d.skip()
	case "signature_name":
		// TensorFlow Serving's clients send it always, and a model here has one signature.
		_, err = d.skip()
	default:
		err = d.unknownKey(key, "instances, parameters and id")
	}
	return err
}

// instances reads the array of instances; null is an empty one.
func (d *predictDecoder) instances() error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	if d.peek() != '[' {
		if _, err := d.skip(); err != nil {
			return err
		}
		return scoring.Errorf(scoring.Invalid, `"instances": want an array`)
	}
	return d.array(func() error {
		d.count++
		if d.count > d.limits.MaxInstances {
			_, err := d.skip() // only to count them
			return err
		}
		instance, err := d.instance()
		var public *scoring.Error
		if err != nil && !errors.Is(err, errSyntax) && !errors.As(err, &public) {
			err = scoring.Errorf(scoring.Invalid, "instances[%d]: %s", d.count-1, err)
		}
		d.req.Instances = append(d.req.Instances, instance)
		return err
	})
}

var errInstance = errors.New(`want a string, {"text": "..."} or {"b64": "..."}`)

// instance reads "text", {"text": "..."} or {"b64": "..."}.
func (d *predictDecoder) instance() (instance scoring.Instance, err error) {
	switch d.peek() {
	case '"':
		text, err := d.unicode()
		return scoring.Instance{Kind: scoring.Text, Data: text}, err
	case '{':
	default:
		if _, err := d.skip(); err != nil {
			return instance, err
		}
		return instance, errInstance
	}
	fields := 0
	err = d.object(func(key []byte) (err error) {
		fields++
		switch {
		case d.peek() != '"':
		case string(key) == "text":
			instance.Kind = scoring.Text
			instance.Data, err = d.unicode()
			return err
		case string(key) == "b64":
			instance.Kind = scoring.Binary
			instance.Data, err = d.base64()
			return err
		}
		if _, err := d.skip(); err != nil {
			return err
		}
		return errInstance
	})
	if err == nil && fields != 1 {
		err = errInstance
	}
	return instance, err
}

var errLoneSurrogate = errors.New(`the text has half of a surrogate pair (\uD800 to \uDFFF without its partner): it is not valid Unicode`)

// unicode reads a string as text. One without escapes stays a part of the JSON.
func (r *reader) unicode() ([]byte, error) {
	value, escaped, err := r.str()
	switch {
	case err != nil || !escaped:
		return value, err
	case loneSurrogate(value):
		return nil, errLoneSurrogate
	default:
		return appendUnescaped(make([]byte, 0, len(value)), value), nil
	}
}

// base64 reads a string of standard base64, with or without padding and line breaks.
func (r *reader) base64() ([]byte, error) {
	value, escaped, err := r.str()
	if err != nil {
		return nil, err
	}
	if escaped {
		value = appendUnescaped(make([]byte, 0, len(value)), value)
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(value)))
	n, err := base64.StdEncoding.Decode(data, value)
	if err != nil {
		data, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(string(value), "="))
		n = len(data)
	}
	if err != nil {
		return nil, fmt.Errorf("b64: not standard base64 (RFC 4648, section 4): %w", err)
	}
	if n == 0 {
		return nil, errors.New("b64: the data is empty")
	}
	return data[:n], nil
}
