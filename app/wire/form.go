package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// parametersPart is the name of the form part that is no instance.
const parametersPart = "parameters"

// identity lists the content transfer encodings that change nothing.
var identity = map[string]bool{"7bit": true, "8bit": true, "binary": true}

// decodeForm reads multipart/form-data: every part is an instance, in order, but one
// named "parameters". A part with a file name or a picture's content type is binary
// data, any other is text. The names of the other parts are free.
func decodeForm(body []byte, boundary string, limits Limits) (scoring.PredictRequest, error) {
	var req scoring.PredictRequest
	if boundary == "" {
		return req, scoring.Errorf(scoring.Invalid, "multipart/form-data without a boundary: let the HTTP client set the content type")
	}
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) && closed(body, boundary) {
			break
		}
		if err != nil {
			return req, scoring.Errorf(scoring.Invalid, "the form is damaged or cut off after %d instances", len(req.Instances)).WithCause(err)
		}
		if err := decodePart(part, &req, limits); err != nil {
			return req, err
		}
	}
	if len(req.Instances) == 0 {
		return req, scoring.Errorf(scoring.Invalid, "the form has no instances: send one part for each")
	}
	return req, nil
}

// closed says whether the form has its last line, "--boundary--". The reader gives io.EOF
// for some forms that are cut off, too, and half of the instances would pass for all.
func closed(body []byte, boundary string) bool {
	last := []byte("\n--" + boundary + "--")
	return bytes.HasPrefix(body, last[1:]) || bytes.Contains(body, last)
}

func decodePart(part *multipart.Part, req *scoring.PredictRequest, limits Limits) error {
	data, err := io.ReadAll(part)
	if err != nil {
		return scoring.Errorf(scoring.Invalid, "form part %q is damaged or cut off", clip(part.FormName())).WithCause(err)
	}
	if part.FormName() == parametersPart {
		req.Parameters, err = DecodeParameters(data)
		return err
	}
	if err := checkCount(len(req.Instances)+1, limits); err != nil {
		return err
	}
	if len(data) == 0 {
		return scoring.Errorf(scoring.Invalid, "form part %q is empty", clip(part.FormName()))
	}
	// NextRawPart leaves these encodings alone, and a base64 text would be scored as it is.
	if encoding := part.Header.Get("Content-Transfer-Encoding"); encoding != "" && !identity[strings.ToLower(encoding)] {
		return scoring.Errorf(scoring.UnsupportedMedia, "form part %q: content-transfer-encoding %q is not supported: send the data as it is", clip(part.FormName()), clip(encoding))
	}
	media, params, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
	text := media == "text/plain" || media == "" && part.FileName() == ""
	if !text {
		req.Instances = append(req.Instances, scoring.Instance{Kind: scoring.Binary, Data: data})
		return nil
	}
	where := fmt.Sprintf("form part %q", clip(part.FormName()))
	if err := checkCharset(where+": ", params["charset"]); err != nil {
		return err
	}
	if err := checkUTF8(where, data); err != nil {
		return err
	}
	req.Instances = append(req.Instances, scoring.Instance{Kind: scoring.Text, Data: data})
	return nil
}
