package wire

import (
	"encoding/json"
	"errors"
	"mime"
	"strconv"
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

func checkCount(n int, limits Limits) error {
	if n <= limits.MaxInstances {
		return nil
	}
	return scoring.Errorf(scoring.TooLarge, "%d instances in one request: at most %d are allowed; split the request", n, limits.MaxInstances)
}

// Unquote reads a JSON string as text, which may be a part of raw. encoding/json would turn
// half of a surrogate pair into U+FFFD without a word, and Onda would then answer another
// question than the one asked.
func Unquote(raw json.RawMessage) ([]byte, error) {
	r := reader{where: "the text", text: raw}
	if r.peek() != '"' {
		return nil, errors.New("want a string")
	}
	text, err := r.unicode()
	if r.peek(); errors.Is(err, errSyntax) || err == nil && r.at < len(raw) {
		return nil, errors.New("want a string")
	}
	return text, err
}

// DecodeParameters reads the "parameters" object of a `:predict` body. No object at all
// is fine.
func DecodeParameters(raw json.RawMessage) (scoring.Parameters, error) {
	if len(raw) == 0 {
		return scoring.Parameters{}, nil
	}
	var parameters scoring.Parameters
	r := reader{where: `"parameters"`, text: raw}
	err := r.root(func(key []byte) (err error) {
		if string(key) != "top_k" {
			return r.unknownKey(key, "top_k")
		}
		if null, err := r.null(); null || err != nil {
			return err
		}
		value, err := r.skip()
		if err != nil {
			return err
		}
		k, err := strconv.Atoi(string(value))
		if err != nil {
			return notWhole(r.where, "top_k", value)
		}
		parameters, err = CheckTopK(k)
		return err
	})
	return parameters, r.explain(err)
}

// notWhole is the error for a value that is no whole number.
func notWhole(where, key string, value []byte) error {
	kind := kindOf(value[0])
	if kind == "number" {
		kind += " " + string(value[:min(len(value), 100)])
	}
	return scoring.Errorf(scoring.Invalid, "%s: %q is a JSON %s: want a whole number", where, key, clip(kind))
}

// CheckTopK makes parameters of the number of classes or matches that a caller wants.
func CheckTopK(k int) (scoring.Parameters, error) {
	if k < 1 {
		return scoring.Parameters{}, scoring.Errorf(scoring.Invalid, "top_k is %d: want a whole number, at least 1", k)
	}
	return scoring.Parameters{TopK: k}, nil
}

// jsonError gives encoding/json's errors about text a public form, with the place.
func jsonError(where string, text []byte, err error) error {
	const cut = "unexpected end of JSON input"
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax) && syntax.Error() != cut && !(syntax.Offset == int64(len(text)) && strings.HasPrefix(syntax.Error(), "invalid character ' '") && text[len(text)-1] != ' '):
		// (At the end of the text, encoding/json takes a space for the next character.)
		return scoring.Errorf(scoring.Invalid, "%s is not valid JSON: %s at offset %d", where, syntax, syntax.Offset)
	default:
		return scoring.Errorf(scoring.Invalid, "%s is not valid JSON: it ends before the value does", where)
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

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
