package wire_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

func TestDecodePredictBody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, contentType, body string
		want                    scoring.Instance
	}{
		{"text", "text/plain", "How do I pay?", text("How do I pay?")},
		{"text in UTF-8", "text/plain; charset=utf-8", "Wie geht’s?", text("Wie geht’s?")},
		{"charset in capitals and quotes", `Text/Plain; Charset="UTF-8"`, "hi", text("hi")},
		{"charset us-ascii", "text/plain; charset=us-ascii", "hi", text("hi")},
		{"text keeps its spaces", "text/plain", " hi\r\n", text(" hi\r\n")},
		{"JPEG", "image/jpeg", "\xff\xd8\xff", binary("\xff\xd8\xff")},
		{"PNG with a parameter", "image/png; name=a.png", "\x89PNG", binary("\x89PNG")},
		{"a picture that the pipeline may not know", "image/avif", "x", binary("x")},
		{"octets", "application/octet-stream", "\x00\x01", binary("\x00\x01")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req, err := wire.DecodePredict(test.contentType, []byte(test.body), limits)
			if err != nil {
				t.Fatal(err)
			}
			same(t, req.Instances, []scoring.Instance{test.want})
			if req.ID != "" || req.Parameters != (scoring.Parameters{}) {
				t.Errorf("got id %q and parameters %+v, want none", req.ID, req.Parameters)
			}
		})
	}
}

func TestDecodePredictRefusesBody(t *testing.T) {
	t.Parallel()
	want := ": want " + wire.Types
	tests := []struct {
		name, contentType, body string
		code                    scoring.Code
		want                    string
	}{
		{"no type", "", "x", scoring.UnsupportedMedia, "the content type is missing" + want},
		{"no type and no body", "", "", scoring.UnsupportedMedia, "the content type is missing" + want},
		{"not a type", "json please", "x", scoring.UnsupportedMedia, `content type "json please" is not supported` + want},
		{"broken parameter", "application/json; charset", "{}", scoring.UnsupportedMedia, `content type "application/json; charset" is not supported` + want},
		{"curl's own type", "application/x-www-form-urlencoded", "x", scoring.UnsupportedMedia, `content type "application/x-www-form-urlencoded" is not supported (curl sets this type when it is given none: add -H 'content-type: ...')` + want},
		{"vendor's JSON", "application/vnd.onda+json", "{}", scoring.UnsupportedMedia, `content type "application/vnd.onda+json" is not supported` + want},
		{"HTML", "text/html", "x", scoring.UnsupportedMedia, `content type "text/html" is not supported` + want},
		{"other multipart", "multipart/mixed; boundary=b", "x", scoring.UnsupportedMedia, `content type "multipart/mixed; boundary=b" is not supported` + want},
		{"video", "video/mp4", "x", scoring.UnsupportedMedia, `content type "video/mp4" is not supported` + want},
		{"long type", "a/" + strings.Repeat("b", 1000), "x", scoring.UnsupportedMedia, `content type "a/` + strings.Repeat("b", 78) + `..." is not supported` + want},
		{"empty JSON", "application/json", "", scoring.Invalid, `the body is empty: send {"instances": [...]}`},
		{"empty text", "text/plain", "", scoring.Invalid, "the body is empty: send the text"},
		{"empty picture", "image/png", "", scoring.Invalid, "the body is empty: send the picture's bytes"},
		{"empty octets", "application/octet-stream", "", scoring.Invalid, "the body is empty: send the picture's bytes"},
		{"empty form", "multipart/form-data; boundary=b", "", scoring.Invalid, "the body is empty: send one part for each instance"},
		{"other charset", "text/plain; charset=iso-8859-1", "x", scoring.UnsupportedMedia, `charset "iso-8859-1" is not supported: send UTF-8`},
		{"invalid UTF-8", "text/plain", "caf\xe9 noir", scoring.Invalid, "the text is not valid UTF-8 (byte 0xe9 at offset 3)"},
		{"cut in a character", "text/plain", "né\xc3", scoring.Invalid, "the text is not valid UTF-8 (byte 0xc3 at offset 3)"},
		{"UTF-8 of a surrogate", "text/plain", "a\xed\xa0\x80", scoring.Invalid, "the text is not valid UTF-8 (byte 0xed at offset 1)"},
		{"the replacement character is valid, what follows is not", "text/plain", "\ufffd\xff", scoring.Invalid, "the text is not valid UTF-8 (byte 0xff at offset 3)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.DecodePredict(test.contentType, []byte(test.body), limits)
			refused(t, err, test.code, test.want)
		})
	}
}

func TestDecodePredictJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       scoring.PredictRequest
	}{
		{"string", `{"instances": ["hi"]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}}},
		{"text", `{"instances": [{"text": "hi"}]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}}},
		{"picture", `{"instances": [{"b64": "/9j/"}]}`, scoring.PredictRequest{Instances: []scoring.Instance{binary("\xff\xd8\xff")}}},
		{"in order", ` { "instances" : [ "a" , {"text":"b"}, {"b64":"Yw=="}, "d" ] } `, scoring.PredictRequest{Instances: []scoring.Instance{text("a"), text("b"), binary("c"), text("d")}}},
		{"empty text", `{"instances": [""]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("")}}},
		{"escapes", `{"instances": ["\"\\\/\b\f\n\r\t\u00e9\u0000"]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("\"\\/\b\f\n\r\té\x00")}}},
		{"surrogate pair", `{"instances": ["\ud83d\uDE00!"]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("😀!")}}},
		{"two surrogate pairs", `{"instances": ["\ud83d\ude00\ud83d\ude01"]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("😀😁")}}},
		{"a backslash before what looks like half a pair", `{"instances": ["\\ud83d"]}`, scoring.PredictRequest{Instances: []scoring.Instance{text(`\ud83d`)}}},
		{"id", `{"id": "q-1", "instances": ["hi"]}`, scoring.PredictRequest{ID: "q-1", Instances: []scoring.Instance{text("hi")}}},
		{"null id", `{"id": null, "instances": ["hi"]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}}},
		{"top_k", `{"instances": ["hi"], "parameters": {"top_k": 3}}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}, Parameters: scoring.Parameters{TopK: 3}}},
		{"largest top_k", `{"instances": ["hi"], "parameters": {"top_k": 9223372036854775807}}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}, Parameters: scoring.Parameters{TopK: 1<<63 - 1}}},
		{"null parameters", `{"instances": ["hi"], "parameters": null}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}}},
		{"no parameter", `{"instances": ["hi"], "parameters": {}}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}}},
		{"null top_k", `{"instances": ["hi"], "parameters": {"top_k": null}}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}}},
		{"TensorFlow Serving's signature name", `{"signature_name": "serving_default", "instances": ["hi"]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}}},
		{"escaped key", `{"inst\u0061nces": ["hi"]}`, scoring.PredictRequest{Instances: []scoring.Instance{text("hi")}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := wire.DecodePredict("application/json; charset=utf-8", []byte(test.body), limits)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got.Instances, test.want.Instances)
			if got.ID != test.want.ID || got.Parameters != test.want.Parameters {
				t.Errorf("got id %q, parameters %+v, want %q, %+v", got.ID, got.Parameters, test.want.ID, test.want.Parameters)
			}
		})
	}
}

func TestDecodePredictRefusesJSON(t *testing.T) {
	t.Parallel()
	const (
		instance  = `: want a string, {"text": "..."} or {"b64": "..."}`
		surrogate = `: the text has half of a surrogate pair (\uD800 to \uDFFF without its partner): it is not valid Unicode`
	)
	tests := []struct {
		name, body string
		code       scoring.Code
		want       string
	}{
		{"not JSON", `instances=hi`, scoring.Invalid, "the body is not valid JSON: invalid character 'i' looking for beginning of value at offset 1"},
		{"only spaces", "  ", scoring.Invalid, "the body is not valid JSON: it ends before the value does"},
		{"cut off", `{"instances": ["hi"`, scoring.Invalid, "the body is not valid JSON: it ends before the value does"},
		{"cut off in a string", `{"instances": ["hi\`, scoring.Invalid, "the body is not valid JSON: it ends before the value does"},
		{"cut off in a key", `{"insta`, scoring.Invalid, "the body is not valid JSON: it ends before the value does"},
		{"trailing comma", `{"instances": ["hi",]}`, scoring.Invalid, "the body is not valid JSON: invalid character ']' looking for beginning of value at offset 21"},
		{"NaN", `{"instances": [NaN]}`, scoring.Invalid, "the body is not valid JSON: invalid character 'N' looking for beginning of value at offset 16"},
		{"unbalanced", `]]}}`, scoring.Invalid, "the body is not valid JSON: invalid character ']' looking for beginning of value at offset 1"},
		{"more after the value", `{"instances": ["hi"]} {"instances": ["ho"]}`, scoring.Invalid, "the body is not valid JSON: invalid character '{' after top-level value at offset 23"},
		{"byte order mark", "\ufeff" + `{"instances": ["hi"]}`, scoring.Invalid, "the body is not valid JSON: invalid character 'ï' looking for beginning of value at offset 1"},
		{"invalid UTF-8", "{\"instances\": [\"caf\xe9\"]}", scoring.Invalid, "the body is not valid UTF-8 (byte 0xe9 at offset 19)"},
		{"UTF-16", "{\x00\"\x00\xff\xfe", scoring.Invalid, "the body is not valid UTF-8 (byte 0xff at offset 4)"},
		{"array", `["hi"]`, scoring.Invalid, "the body is a JSON array: want an object"},
		{"string", `"hi"`, scoring.Invalid, "the body is a JSON string: want an object"},
		{"null", `null`, scoring.Invalid, `"instances" is missing: want {"instances": [...]}`},
		{"empty object", `{}`, scoring.Invalid, `"instances" is missing: want {"instances": [...]}`},
		{"columns", `{"inputs": {"x": [1]}}`, scoring.Invalid, `"inputs": the column form is not supported by :predict: send {"instances": [...]}, or tensors to /v2/models/MODEL/infer`},
		{"rows and columns", `{"instances": ["a"], "inputs": ["b"]}`, scoring.Invalid, `"instances" and "inputs" exclude each other: send "instances" alone`},
		{"unknown key", `{"instance": ["hi"]}`, scoring.Invalid, `the body: unknown key "instance": want instances, parameters and id`},
		{"long unknown key", `{"` + strings.Repeat("k", 1000) + `": 1}`, scoring.Invalid, `the body: unknown key "` + strings.Repeat("k", 79) + `...: want instances, parameters and id`},
		{"id is a number", `{"id": 7, "instances": ["hi"]}`, scoring.Invalid, `the body: "id" is a JSON number: want a string`},
		{"key twice", `{"instances": ["a"], "instances": ["b"]}`, scoring.Invalid, `the body has the key "instances" twice in one object: want it once`},
		{"key twice, in capitals", `{"instances": ["a"], "INSTANCES": ["b"]}`, scoring.Invalid, `the body: unknown key "INSTANCES": want instances, parameters and id`},
		{"key twice, escaped", `{"instances": ["a"], "inst\u0061nces": ["b"]}`, scoring.Invalid, `the body has the key "instances" twice in one object: want it once`},
		{"key twice in an instance", `{"instances": [{"text": "a", "text": "b"}]}`, scoring.Invalid, `the body has the key "text" twice in one object: want it once`},
		{"key twice in parameters", `{"instances": ["a"], "parameters": {"top_k": 1, "top_k": 2}}`, scoring.Invalid, `the body has the key "top_k" twice in one object: want it once`},

		{"instances is null", `{"instances": null}`, scoring.Invalid, `"instances" is empty: want at least one`},
		{"instances is empty", `{"instances": []}`, scoring.Invalid, `"instances" is empty: want at least one`},
		{"instances is an object", `{"instances": {"text": "a"}}`, scoring.Invalid, `"instances": want an array`},
		{"instances is a string", `{"instances": "a"}`, scoring.Invalid, `"instances": want an array`},
		{"too many", `{"instances": ["a", "b", "c", "d", "e"]}`, scoring.TooLarge, "5 instances in one request: at most 4 are allowed; split the request"},
		{"far too many", `{"instances": [""` + strings.Repeat(`,""`, 200_000) + `]}`, scoring.TooLarge, "the body has more than 100000 keys and array elements: split the request"},
		{"null instance", `{"instances": ["a", null]}`, scoring.Invalid, "instances[1]" + instance},
		{"number", `{"instances": [1.5]}`, scoring.Invalid, "instances[0]" + instance},
		{"row", `{"instances": [[1, 2]]}`, scoring.Invalid, "instances[0]" + instance},
		{"true", `{"instances": [true]}`, scoring.Invalid, "instances[0]" + instance},
		{"empty instance", `{"instances": [{}]}`, scoring.Invalid, "instances[0]" + instance},
		{"unknown kind", `{"instances": [{"url": "http://169.254.169.254/"}]}`, scoring.Invalid, "instances[0]" + instance},
		{"text and picture", `{"instances": [{"text": "a", "b64": "YQ=="}]}`, scoring.Invalid, "instances[0]" + instance},
		{"text is null", `{"instances": [{"text": null}]}`, scoring.Invalid, "instances[0]" + instance},
		{"text is a number", `{"instances": [{"text": 1}]}`, scoring.Invalid, "instances[0]" + instance},
		{"b64 is an array", `{"instances": [{"b64": []}]}`, scoring.Invalid, "instances[0]" + instance},
		{"lone high surrogate", `{"instances": ["a\ud83d"]}`, scoring.Invalid, "instances[0]" + surrogate},
		{"lone low surrogate", `{"instances": ["\ude00a"]}`, scoring.Invalid, "instances[0]" + surrogate},
		{"halves in the wrong order", `{"instances": ["\ude00\ud83d"]}`, scoring.Invalid, "instances[0]" + surrogate},
		{"two high halves", `{"instances": ["\ud83d\ud83d\ude00"]}`, scoring.Invalid, "instances[0]" + surrogate},
		{"half and another escape", `{"instances": ["\ud83d\u0041"]}`, scoring.Invalid, "instances[0]" + surrogate},
		{"half after an escaped backslash", `{"instances": ["\\\ud83d"]}`, scoring.Invalid, "instances[0]" + surrogate},
		{"half in a text object", `{"instances": ["a", {"text": "\udfff"}]}`, scoring.Invalid, "instances[1]" + surrogate},
		{"empty base64", `{"instances": [{"b64": ""}]}`, scoring.Invalid, "instances[0]: b64: the data is empty"},
		{"only padding", `{"instances": [{"b64": "===="}]}`, scoring.Invalid, "instances[0]: b64: the data is empty"},
		{"URL-safe base64", `{"instances": [{"b64": "_9j_"}]}`, scoring.Invalid, "instances[0]: b64: not standard base64 (RFC 4648, section 4): illegal base64 data at input byte 0"},
		{"data URL", `{"instances": [{"b64": "data:image/png;base64,YQ=="}]}`, scoring.Invalid, "instances[0]: b64: not standard base64 (RFC 4648, section 4): illegal base64 data at input byte 4"},
		{"base64 cut off", `{"instances": [{"b64": "YWJjZ"}]}`, scoring.Invalid, "instances[0]: b64: not standard base64 (RFC 4648, section 4): illegal base64 data at input byte 4"},
		{"padding inside", `{"instances": [{"b64": "YQ==YQ=="}]}`, scoring.Invalid, "instances[0]: b64: not standard base64 (RFC 4648, section 4): illegal base64 data at input byte 2"},

		{"parameters is an array", `{"instances": ["a"], "parameters": []}`, scoring.Invalid, `"parameters" is a JSON array: want an object`},
		{"parameters is a string", `{"instances": ["a"], "parameters": "top_k"}`, scoring.Invalid, `"parameters" is a JSON string: want an object`},
		{"unknown parameter", `{"instances": ["a"], "parameters": {"topk": 5}}`, scoring.Invalid, `"parameters": unknown key "topk": want top_k`},
		{"top_k is 0", `{"instances": ["a"], "parameters": {"top_k": 0}}`, scoring.Invalid, "top_k is 0: want a whole number, at least 1"},
		{"top_k is negative", `{"instances": ["a"], "parameters": {"top_k": -1}}`, scoring.Invalid, "top_k is -1: want a whole number, at least 1"},
		{"top_k is a fraction", `{"instances": ["a"], "parameters": {"top_k": 1.5}}`, scoring.Invalid, `"parameters": "top_k" is a JSON number 1.5: want a whole number`},
		{"top_k is 5.0", `{"instances": ["a"], "parameters": {"top_k": 5.0}}`, scoring.Invalid, `"parameters": "top_k" is a JSON number 5.0: want a whole number`},
		{"top_k is a string", `{"instances": ["a"], "parameters": {"top_k": "5"}}`, scoring.Invalid, `"parameters": "top_k" is a JSON string: want a whole number`},
		{"top_k is true", `{"instances": ["a"], "parameters": {"top_k": true}}`, scoring.Invalid, `"parameters": "top_k" is a JSON bool: want a whole number`},
		{"top_k overflows", `{"instances": ["a"], "parameters": {"top_k": 9223372036854775808}}`, scoring.Invalid, `"parameters": "top_k" is a JSON number 9223372036854775808: want a whole number`},
		{"top_k of a thousand digits is not repeated", `{"instances": ["a"], "parameters": {"top_k": 1` + strings.Repeat("0", 1000) + `}}`, scoring.Invalid, `"parameters": "top_k" is a JSON number 1` + strings.Repeat("0", 72) + `...: want a whole number`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.DecodePredict("application/json", []byte(test.body), limits)
			refused(t, err, test.code, test.want)
		})
	}
}

// TestDeepNesting shows that a small body cannot exhaust the stack.
func TestDeepNesting(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	objects := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	tests := []struct {
		name, body, want string
	}{
		{"arrays", deep, "the body is not valid JSON: invalid character '[' exceeded max depth at offset 10001"},
		{"arrays in instances", `{"instances":` + deep + `}`, "the body is not valid JSON: invalid character '[' exceeded max depth at offset 10013"},
		{"arrays never closed", `{"instances":` + deep[:100_000], "the body is not valid JSON: invalid character '[' exceeded max depth at offset 10013"},
		{"objects", `{"instances":[` + objects + `]}`, "the body is not valid JSON: invalid character '{' exceeded max depth at offset 50005"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.DecodePredict("application/json", []byte(test.body), limits)
			refused(t, err, scoring.Invalid, test.want)
		})
	}
}

// TestSmallBodiesStaySmall keeps a body of a few megabytes from becoming gigabytes: each
// element of these arrays takes two bytes in the text and up to a hundred in memory.
func TestSmallBodiesStaySmall(t *testing.T) {
	elements := "[1" + strings.Repeat(",1", 1<<20) + "]"
	var keys strings.Builder
	for i := range 1 << 18 {
		fmt.Fprintf(&keys, `"%d":1,`, i)
	}
	tests := []struct {
		name, body string
		decode     func(body []byte) error
	}{
		{"instances", `{"instances":[""` + strings.Repeat(`,""`, 1<<20) + `]}`, predictError},
		{"outputs", `{"outputs":[{}` + strings.Repeat(",{}", 1<<20) + `]}`, inferError},
		{"unknown", `{"unknown":` + elements + `}`, inferError},
		{"parameters", `{"parameters":{` + keys.String() + `"":1}}`, inferError},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := []byte(test.body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := test.decode(body)
			runtime.ReadMemStats(&after)
			refused(t, err, scoring.TooLarge, "the body has more than 100000 keys and array elements: split the request")
			if got, most := after.TotalAlloc-before.TotalAlloc, uint64(16<<20); got > most {
				t.Errorf("got %d bytes allocated for a body of %d, want at most %d", got, len(body), most)
			}
		})
	}
}

func predictError(body []byte) error {
	_, err := wire.DecodePredict("application/json", body, limits)
	return err
}

func inferError(body []byte) error {
	_, _, err := wire.DecodeInfer(body)
	return err
}

func TestBase64Variants(t *testing.T) {
	t.Parallel()
	picture := bytes.Repeat([]byte{0xff, 0xd8, 0, 0x10}, 40)
	for n := len(picture) - 3; n <= len(picture); n++ {
		data := picture[:n]
		padded := base64.StdEncoding.EncodeToString(data)
		for name, variant := range map[string]string{
			"padded":      padded,
			"not padded":  strings.TrimRight(padded, "="),
			"line breaks": padded[:76] + `\r\n` + padded[76:152] + `\n` + padded[152:] + `\r\n`,
			"escaped":     strings.ReplaceAll(padded, "/", `\/`),
		} {
			req, err := wire.DecodePredict("application/json", []byte(`{"instances": [{"b64": "`+variant+`"}]}`), limits)
			if err != nil {
				t.Errorf("%s, %d bytes: %v", name, n, err)
				continue
			}
			same(t, req.Instances, []scoring.Instance{{Kind: scoring.Binary, Data: data}})
		}
	}
}

func TestCheckTopK(t *testing.T) {
	t.Parallel()
	if got, err := wire.CheckTopK(7); err != nil || got.TopK != 7 {
		t.Errorf("got %+v, %v, want TopK 7", got, err)
	}
	_, err := wire.CheckTopK(0)
	refused(t, err, scoring.Invalid, "top_k is 0: want a whole number, at least 1")
}

func TestDecodeParametersRefusesMoreThanOneValue(t *testing.T) {
	t.Parallel()
	_, err := wire.DecodeParameters([]byte(`{"top_k": 1}{"top_k": 2}`))
	refused(t, err, scoring.Invalid, `"parameters" is not valid JSON: invalid character '{' after top-level value at offset 13`)
}

func FuzzDecodePredict(f *testing.F) {
	for _, body := range []string{
		`{"instances": ["hi"]}`, `{"instances": [{"text": "hi"}, {"b64": "YQ=="}], "parameters": {"top_k": 3}, "id": "x"}`,
		`{"instances": ["\ud83d\ude00"]}`, `{"instances": ["\ud83d"]}`, `{"inputs": []}`, `[[[[]]]]`, `{"instances": [`, `{"a":1,"a":2}`, "caf\xe9", "",
	} {
		f.Add("application/json", []byte(body))
		f.Add("text/plain", []byte(body))
	}
	f.Add("text/plain; charset=latin1", []byte("x"))
	f.Add("image/png", []byte("\x89PNG\r\n"))
	f.Add("multipart/form-data; boundary=b", []byte("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nhi\r\n--b\r\nContent-Disposition: form-data; name=parameters\r\n\r\n{\"top_k\":2}\r\n--b--"))
	f.Add("multipart/form-data; boundary=b", []byte("--b\nContent-Disposition: form-data; name=a; filename=x\n\n\xff\n--b"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		before := bytes.Clone(body)
		req, err := wire.DecodePredict(contentType, body, limits)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if code := scoring.CodeOf(err); code != scoring.Invalid && code != scoring.UnsupportedMedia && code != scoring.TooLarge {
				t.Fatalf("got %v, want a code that blames the request", err)
			}
			if message := scoring.AsError(err).Message; len(message) > 1000 || !utf8.ValidString(message) {
				t.Fatalf("got a message of %d bytes, %q, want short, valid UTF-8", len(message), message)
			}
			return
		}
		if n := len(req.Instances); n < 1 || n > limits.MaxInstances {
			t.Fatalf("got %d instances, want 1 to %d", n, limits.MaxInstances)
		}
		if req.Parameters.TopK < 0 {
			t.Fatalf("got top_k %d, want 0 or more", req.Parameters.TopK)
		}
		for i, instance := range req.Instances {
			if instance.Kind == scoring.Text && !utf8.Valid(instance.Data) {
				t.Fatalf("instances[%d]: got a text that is no UTF-8: %q", i, instance.Data)
			}
			if instance.Kind != scoring.Text && instance.Kind != scoring.Binary {
				t.Fatalf("instances[%d]: got kind %d", i, instance.Kind)
			}
		}
		again, err := wire.DecodePredict("application/json", encode(t, req), limits)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		same(t, again.Instances, req.Instances)
		if again.ID != req.ID || again.Parameters != req.Parameters {
			t.Fatalf("got %+v, want %+v", again, req)
		}
	})
}

// encode writes req as a client would. An empty picture, which only a multipart part or a
// raw body could be, does not come this far.
func encode(t *testing.T, req scoring.PredictRequest) []byte {
	t.Helper()
	var instances []map[string]any
	for _, instance := range req.Instances {
		if instance.Kind == scoring.Text {
			instances = append(instances, map[string]any{"text": string(instance.Data)})
		} else {
			instances = append(instances, map[string]any{"b64": instance.Data})
		}
	}
	body := map[string]any{"instances": instances, "id": req.ID}
	if req.Parameters.TopK != 0 {
		body["parameters"] = map[string]int{"top_k": req.Parameters.TopK}
	}
	encoded, err := wire.Marshal(body)
	if err != nil {
		t.Fatalf("encode %s: %v", strconv.Quote(req.ID), err)
	}
	return encoded
}
