package wire

import (
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// InferOptions are what an infer request asks of the door, beside the scoring itself.
type InferOptions struct {
	// Timeout is the caller's budget; 0 if it gave none.
	Timeout time.Duration
	// HasLane says that the request names its lane, so that no default of the door counts.
	HasLane bool
	// AllBinary asks for outputs as binary data where Binary does not say otherwise.
	AllBinary bool
	// Binary says for outputs, by name, whether they are wanted as binary data. It is nil
	// where the request says it of none.
	Binary map[string]bool
}

// binary says whether an output is wanted as binary data.
func (o *InferOptions) binary(output string) bool {
	if binary, said := o.Binary[output]; said {
		return binary
	}
	return o.AllBinary
}

// DecodeInfer reads an infer request of the Open Inference Protocol v2 that is JSON
// alone. Its tensors refer to body: it must not be changed while they are in use.
func DecodeInfer(body []byte) (scoring.InferRequest, InferOptions, error) {
	if len(body) == 0 {
		return scoring.InferRequest{}, InferOptions{}, scoring.Errorf(scoring.Invalid, `the body is empty: send {"inputs": [...]}`)
	}
	d := inferDecoder{reader: reader{where: "the body", text: body}}
	return d.decode()
}

// inferDecoder reads an infer request. Keys that it does not know are passed over, as the
// protocol's servers all do.
type inferDecoder struct {
	reader

	// blobs is what follows the JSON and no input has taken yet; inBinary says that the
	// request has such a part, empty or not.
	blobs    []byte
	inBinary bool

	req  scoring.InferRequest
	opts InferOptions
}

func (d *inferDecoder) decode() (scoring.InferRequest, InferOptions, error) {
	if err := d.root(d.field); err != nil {
		return scoring.InferRequest{}, InferOptions{}, d.explain(err)
	}
	if len(d.req.Inputs) == 0 {
		return scoring.InferRequest{}, InferOptions{}, scoring.Errorf(scoring.Invalid, `"inputs" is missing or empty: want {"inputs": [{"name", "shape", "datatype", "data"}]}`)
	}
	if len(d.blobs) > 0 {
		return scoring.InferRequest{}, InferOptions{}, scoring.Errorf(scoring.Invalid, "unexpected additional input data: %d bytes follow the data of the last input", len(d.blobs))
	}
	return d.req, d.opts, nil
}

func (d *inferDecoder) field(key []byte) (err error) {
	switch string(key) {
	case "id":
		d.req.ID, err = d.textField("id")
	case "parameters":
		err = d.parameters("parameters", d.parameter)
	case "inputs":
		err = d.list("inputs", d.input)
	case "outputs":
		err = d.list("outputs", d.output)
	default:
		_, err = d.skip()
	}
	return err
}

// list reads an array of inputs or outputs; null is an empty one.
func (d *inferDecoder) list(field string, element func() error) error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	if d.peek() != '[' {
		return d.wrongKind(field, "an array")
	}
	return d.array(element)
}

// wanted is an output while it is read.
type wanted struct {
	scoring.Output

	// binary is the output's own word, where said is true.
	binary, said bool
}

// output reads one element of "outputs".
func (d *inferDecoder) output() error {
	var out wanted
	null, err := d.null()
	switch {
	case null || err != nil:
	case d.peek() != '{':
		err = d.wrongKind("outputs", "an object")
	default:
		err = d.object(func(key []byte) (err error) {
			switch string(key) {
			case "name":
				out.Name, err = d.textField("outputs.name")
			case "parameters":
				err = d.parameters("outputs.parameters", func(name string, value []byte) error {
					return d.outputParameter(&out, name, value)
				})
			default:
				_, err = d.skip()
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	if out.said {
		if d.opts.Binary == nil {
			d.opts.Binary = map[string]bool{}
		}
		d.opts.Binary[out.Name] = out.binary
	}
	d.req.Outputs = append(d.req.Outputs, out.Output)
	return nil
}
