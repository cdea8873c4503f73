package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// Limits bound what a `:predict` body may ask for.
type Limits struct {
	// MaxInstances is the most instances of a request.
	MaxInstances int
}

// Types lists the content types that a `:predict` body can have, for error texts.
const Types = "application/json, multipart/form-data, text/plain, application/octet-stream, image/jpeg, image/png, image/webp or image/gif"

// DecodePredict reads a `:predict` body of the given content type into instances,
// parameters and id of a request. The instances refer to body: it must not be changed
// while they are in use.
func DecodePredict(contentType string, body []byte, limits Limits) (scoring.PredictRequest, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return scoring.PredictRequest{}, unsupportedType(contentType)
	}
	if len(body) == 0 {
		return scoring.PredictRequest{}, scoring.Errorf(scoring.Invalid, "the body is empty: send %s", example(media))
	}
	var req scoring.PredictRequest
	switch {
	case media == "application/json":
		req, err = decodeJSON(body, limits)
	case media == "multipart/form-data":
		req, err = decodeForm(body, params["boundary"], limits)
	case media == "text/plain":
		req.Instances, err = decodeText(body, params["charset"])
	case media == "application/octet-stream" || strings.HasPrefix(media, "image/"):
		req.Instances = []scoring.Instance{{Kind: scoring.Binary, Data: body}}
	default:
		return scoring.PredictRequest{}, unsupportedType(contentType)
	}
	if err != nil {
		return scoring.PredictRequest{}, err
	}
	return req, nil
}

// unsupportedType explains what to send. The type that curl sends by itself gets a word
// of its own: it is the most common mistake of all.
func unsupportedType(contentType string) error {
	hint := ""
	if strings.HasPrefix(contentType, "application/x-www-form-urlencoded") {
		hint = " (curl sets this type when it is given none: add -H 'content-type: ...')"
	}
	if contentType == "" {
		return scoring.Errorf(scoring.UnsupportedMedia, "the content type is missing: want %s", Types)
	}
	return scoring.Errorf(scoring.UnsupportedMedia, "content type %q is not supported%s: want %s", clip(contentType), hint, Types)
}

func example(media string) string {
	switch {
	case strings.HasPrefix(media, "image/"), media == "application/octet-stream":
		return "the picture's bytes"
	case media == "text/plain":
		return "the text"
	case media == "multipart/form-data":
		return "one part for each instance"
	default:
		return `{"instances": [...]}`
	}
}

func decodeText(body []byte, charset string) ([]scoring.Instance, error) {
	if err := checkCharset("", charset); err != nil {
		return nil, err
	}
	if err := checkUTF8("the text", body); err != nil {
		return nil, err
	}
	return []scoring.Instance{{Kind: scoring.Text, Data: body}}, nil
}

// checkCharset takes UTF-8 and its subset. Any other charset could be valid UTF-8 by
// chance, and would be another text.
func checkCharset(where, charset string) error {
	if charset == "" || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii") {
		return nil
	}
	return scoring.Errorf(scoring.UnsupportedMedia, "%scharset %q is not supported: send UTF-8", where, clip(charset))
}

// predictBody is the V1 request. SignatureName is TensorFlow Serving's; its clients
// send it always, and a model here has one signature.
type predictBody struct {
	ID            string          `json:"id"`
	Instances     json.RawMessage `json:"instances"`
	Inputs        json.RawMessage `json:"inputs"`
	Parameters    json.RawMessage `json:"parameters"`
	SignatureName json.RawMessage `json:"signature_name"`
}

func decodeJSON(body []byte, limits Limits) (scoring.PredictRequest, error) {
	var req scoring.PredictRequest
	if err := checkUTF8("the body", body); err != nil {
		return req, err
	}
	if err := survey("the body", body); err != nil {
		return req, err
	}
	var b predictBody
	if err := strict(body, &b); err != nil {
		return req, jsonError("the body", err, "instances, parameters and id")
	}
	if b.Instances == nil {
		if b.Inputs != nil {
			return req, scoring.Errorf(scoring.Invalid, `"inputs": the column form is not supported by :predict: send {"instances": [...]}, or tensors to /v2/models/MODEL/infer`)
		}
		return req, scoring.Errorf(scoring.Invalid, `"instances" is missing: want {"instances": [...]}`)
	}
	if b.Inputs != nil {
		return req, scoring.Errorf(scoring.Invalid, `"instances" and "inputs" exclude each other: send "instances" alone`)
	}
	var err error
	req.ID = b.ID
	if req.Instances, err = decodeInstances(b.Instances, limits); err != nil {
		return req, err
	}
	req.Parameters, err = DecodeParameters(b.Parameters)
	return req, err
}

func decodeInstances(raw json.RawMessage, limits Limits) ([]scoring.Instance, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, scoring.Errorf(scoring.Invalid, `"instances": want an array`)
	}
	if len(items) == 0 {
		return nil, scoring.Errorf(scoring.Invalid, `"instances" is empty: want at least one`)
	}
	if err := checkCount(len(items), limits); err != nil {
		return nil, err
	}
	instances := make([]scoring.Instance, len(items))
	for i, item := range items {
		instance, err := decodeInstance(item)
		if err != nil {
			return nil, scoring.Errorf(scoring.Invalid, "instances[%d]: %s", i, err)
		}
		instances[i] = instance
	}
	return instances, nil
}

func checkCount(n int, limits Limits) error {
	if n <= limits.MaxInstances {
		return nil
	}
	return scoring.Errorf(scoring.TooLarge, "%d instances in one request: at most %d are allowed; split the request", n, limits.MaxInstances)
}

// decodeInstance reads "text", {"text": "..."} or {"b64": "..."}.
func decodeInstance(raw json.RawMessage) (scoring.Instance, error) {
	want := errors.New(`want a string, {"text": "..."} or {"b64": "..."}`)
	switch raw[0] {
	case '"':
		text, err := Unquote(raw)
		return scoring.Instance{Kind: scoring.Text, Data: text}, err
	case '{':
	default:
		return scoring.Instance{}, want
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || len(fields) != 1 {
		return scoring.Instance{}, want
	}
	if value, ok := fields["text"]; ok && value[0] == '"' {
		text, err := Unquote(value)
		return scoring.Instance{Kind: scoring.Text, Data: text}, err
	}
	if value, ok := fields["b64"]; ok && value[0] == '"' {
		data, err := decodeBase64(value)
		return scoring.Instance{Kind: scoring.Binary, Data: data}, err
	}
	return scoring.Instance{}, want
}

var errLoneSurrogate = errors.New(`the text has half of a surrogate pair (\uD800 to \uDFFF without its partner): it is not valid Unicode`)

// Unquote reads a JSON string as text. encoding/json would turn half of a surrogate pair into
// U+FFFD without a word, and Onda would then answer another question than the one asked.
func Unquote(raw json.RawMessage) ([]byte, error) {
	if loneSurrogate(raw) {
		return nil, errLoneSurrogate
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, errors.New("want a string")
	}
	return []byte(s), nil
}

// decodeBase64 reads standard base64, with or without padding and line breaks.
func decodeBase64(raw json.RawMessage) ([]byte, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, errors.New("b64: want a string")
	}
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		data, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	}
	if err != nil {
		return nil, fmt.Errorf("b64: not standard base64 (RFC 4648, section 4): %w", err)
	}
	if len(data) == 0 {
		return nil, errors.New("b64: the data is empty")
	}
	return data, nil
}

// parametersBody lists the parameters that a caller can set.
type parametersBody struct {
	TopK *int `json:"top_k"`
}

// DecodeParameters reads the "parameters" object of a `:predict` body. No object at all
// is fine.
func DecodeParameters(raw json.RawMessage) (scoring.Parameters, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return scoring.Parameters{}, nil
	}
	var b parametersBody
	if err := strict(raw, &b); err != nil {
		return scoring.Parameters{}, jsonError(`"parameters"`, err, "top_k")
	}
	if b.TopK == nil {
		return scoring.Parameters{}, nil
	}
	return CheckTopK(*b.TopK)
}

// CheckTopK makes parameters of the number of classes or matches that a caller wants.
func CheckTopK(k int) (scoring.Parameters, error) {
	if k < 1 {
		return scoring.Parameters{}, scoring.Errorf(scoring.Invalid, "top_k is %d: want a whole number, at least 1", k)
	}
	return scoring.Parameters{TopK: k}, nil
}

// strict decodes one JSON value and refuses unknown keys and anything after it.
func strict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if rest := bytes.TrimLeft(data[decoder.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return fmt.Errorf("unexpected data after the JSON value at offset %d", decoder.InputOffset())
	}
	return nil
}

// jsonError gives encoding/json's errors a public form, with the place where it knows it.
// keys lists the keys that there are, for bodies that may have no others.
func jsonError(where string, err error, keys string) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	const cut = "unexpected end of JSON input"
	if key, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return scoring.Errorf(scoring.Invalid, "%s: unknown key %s: want %s", where, clip(key), keys)
	}
	switch {
	case errors.As(err, &syntax) && syntax.Error() != cut:
		return scoring.Errorf(scoring.Invalid, "%s is not valid JSON: %s at offset %d", where, syntax, syntax.Offset)
	case syntax != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return scoring.Errorf(scoring.Invalid, "%s is not valid JSON: it ends before the value does", where)
	case errors.As(err, &kind) && kind.Field != "":
		return scoring.Errorf(scoring.Invalid, "%s: %q is a JSON %s: want %s", where, kind.Field, clip(kind.Value), jsonKind(kind.Type.Kind().String()))
	case errors.As(err, &kind):
		return scoring.Errorf(scoring.Invalid, "%s is a JSON %s: want an object", where, clip(kind.Value))
	default:
		// What is left names a key of the caller's, however long that is.
		return scoring.Errorf(scoring.Invalid, "%s is not valid: %s", where, clip(strings.TrimPrefix(err.Error(), "json: ")))
	}
}

// jsonKind names a Go kind as JSON does.
func jsonKind(kind string) string {
	switch kind {
	case "string":
		return "a string"
	case "slice":
		return "an array"
	case "int", "int64":
		return "a whole number"
	default:
		return "an object"
	}
}

func checkUTF8(what string, data []byte) error {
	if utf8.Valid(data) {
		return nil
	}
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		at += size
	}
	return scoring.Errorf(scoring.Invalid, "%s is not valid UTF-8 (byte 0x%02x at offset %d)", what, data[at], at)
}

// loneSurrogate finds a \uD800..\uDFFF escape of a JSON string that is no half of a pair.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		unit, ok := surrogate(raw[i:])
		if !ok {
			i++ // the escaped character
			continue
		}
		next, paired := surrogate(raw[min(i+6, len(raw)):])
		if unit >= 0xDC00 || !paired || next < 0xDC00 {
			return true
		}
		i += 11 // both escapes
	}
	return false
}

// surrogate reads an escape such as \uD83D at the start of raw.
func surrogate(raw []byte) (unit uint16, ok bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	for _, c := range raw[2:6] {
		switch {
		case c >= '0' && c <= '9':
			unit = unit<<4 | uint16(c-'0')
		case c >= 'a' && c <= 'f':
			unit = unit<<4 | uint16(c-'a'+10)
		case c >= 'A' && c <= 'F':
			unit = unit<<4 | uint16(c-'A'+10)
		default:
			return 0, false
		}
	}
	return unit, unit >= 0xD800 && unit <= 0xDFFF
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
