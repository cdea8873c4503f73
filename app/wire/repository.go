package wire

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// filePrefix is before the name of a file among the parameters of a load request.
const filePrefix = "file:"

// DecodeLoad reads the body of a request to load a model; nothing at all is fine.
func DecodeLoad(model string, body []byte) (scoring.LoadRequest, error) {
	req := scoring.LoadRequest{Name: model}
	parameters, err := controlParameters(body)
	if err != nil {
		return req, err
	}
	for name, value := range parameters {
		if err := loadParameter(&req, name, value); err != nil {
			return req, err
		}
	}
	if len(req.Files) > 0 && req.Config == "" {
		return req, scoring.Errorf(scoring.Invalid, "the request has files and no config: send the parameter config, too, because files replace the whole folder of the model")
	}
	return req, nil
}

func loadParameter(req *scoring.LoadRequest, name string, value json.RawMessage) (err error) {
	file, isFile := strings.CutPrefix(name, filePrefix)
	switch {
	case string(value) == "null":
		return nil
	case name == "config":
		req.Config, err = textOf(value, "parameter config: want a string with the JSON of the model's configuration")
		return err
	case !isFile:
		return scoring.Errorf(scoring.Invalid, "unknown parameter %q: want config or file:VERSION/NAME", clip(name))
	}
	version, rest, _ := strings.Cut(file, "/")
	if _, err := scoring.ParseVersion(version); err != nil || !fs.ValidPath(rest) || rest == "." {
		return scoring.Errorf(scoring.Invalid, "parameter %q: want file:VERSION/NAME, such as file:1/model.onnx", clip(name))
	}
	text, err := textOf(value, "parameter "+clip(name)+": want a string of base64")
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return scoring.Errorf(scoring.Invalid, "parameter %q is not standard base64 (RFC 4648, section 4)", clip(name)).WithCause(err)
	}
	if req.Files == nil {
		req.Files = map[string][]byte{}
	}
	req.Files[file] = data
	return nil
}

// CheckUnload checks the body of a request to unload a model; nothing at all is fine.
// Models here depend on no other, so unload_dependents changes nothing.
func CheckUnload(body []byte) error {
	parameters, err := controlParameters(body)
	if err != nil {
		return err
	}
	if value, ok := parameters["unload_dependents"]; ok && string(value) != "null" {
		_, err = boolean(value, "parameter unload_dependents: want true or false")
	}
	return err
}

// DecodeIndex reads the body of a request for the repository's index: whether only what
// is ready is wanted. Nothing at all is fine.
func DecodeIndex(body []byte) (ready bool, err error) {
	fields, err := objectOf(body)
	if err != nil {
		return false, err
	}
	value, ok := fields["ready"]
	if !ok || string(value) == "null" {
		return false, nil
	}
	return boolean(value, `"ready": want true or false`)
}

// controlParameters gives the parameters of a repository request.
func controlParameters(body []byte) (map[string]json.RawMessage, error) {
	fields, err := objectOf(body)
	if err != nil || fields["parameters"] == nil {
		return nil, err
	}
	var parameters map[string]json.RawMessage
	if err := json.Unmarshal(fields["parameters"], &parameters); err != nil {
		return nil, scoring.Errorf(scoring.Invalid, `"parameters": want an object`)
	}
	return parameters, nil
}

// objectOf reads a body that is a JSON object or nothing.
func objectOf(body []byte) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if len(body) == 0 {
		return fields, nil
	}
	r := reader{where: "the body", text: body}
	err := r.root(func(key []byte) (err error) {
		fields[string(key)], err = r.skip()
		return err
	})
	return fields, r.explain(err)
}
