package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

func badJSON(t *testing.T) []bad {
	t.Helper()
	of := func(name, body, text string) bad {
		return bad{name: name, request: jsonTo(faqModel, body), status: 400, text: text}
	}
	return []bad{
		of("malformed", `{"instances": ["a",}`, "the body is not valid JSON: invalid character '}' looking for beginning of value at offset 20"),
		of("cut off", `{"instances": ["a"`, "the body is not valid JSON: it ends before the value does"),
		of("something after it", `{"instances": ["a"]} {}`, "the body is not valid JSON: invalid character '{' after top-level value at offset 22"),
		of("invalid UTF-8", "{\"instances\": [\"caf\xe9\"]}", "the body is not valid UTF-8 (byte 0xe9 at offset 19)"),
		of("an array", `["a"]`, "the body is a JSON array: want an object"),
		of("unknown key", `{"instances": ["a"], "top_k": 3}`, `the body: unknown key "top_k": want instances, parameters and id`),
		of("no instances", `{}`, `"instances" is missing: want {"instances": [...]}`),
		of("null instances", `{"instances": null}`, `"instances" is empty: want at least one`),
		of("empty instances", `{"instances": []}`, `"instances" is empty: want at least one`),
		of("instances no array", `{"instances": "a"}`, `"instances": want an array`),
		of("the column form", `{"inputs": ["a"]}`, `"inputs": the column form is not supported by :predict: send {"instances": [...]}, or tensors to /v2/models/MODEL/infer`),
		of("a number", `{"instances": ["a", 1]}`, "instances[1]: "+wantsInstance),
		of("null", `{"instances": [null]}`, "instances[0]: "+wantsInstance),
		of("unknown kind of instance", `{"instances": [{"picture": "a"}]}`, "instances[0]: "+wantsInstance),
		of("two kinds in one", `{"instances": [{"text": "a", "b64": "YQ=="}]}`, "instances[0]: "+wantsInstance),
		of("text no string", `{"instances": [{"text": 1}]}`, "instances[0]: "+wantsInstance),
		of("bad base64", `{"instances": [{"b64": "a cat!"}]}`, "instances[0]: b64: not standard base64 (RFC 4648, section 4): illegal base64 data at input byte 1"),
		of("empty base64", `{"instances": [{"b64": ""}]}`, "instances[0]: b64: the data is empty"),
		of("half a surrogate pair", `{"instances": ["\ud83d"]}`, `instances[0]: the text has half of a surrogate pair (\uD800 to \uDFFF without its partner): it is not valid Unicode`),
		of("id no string", `{"id": 7, "instances": ["a"]}`, `the body: "id" is a JSON number: want a string`),
		of("id not printable", `{"id": "a\u0007", "instances": ["a"]}`, "the request's id has a character that is not printable ASCII at offset 1"),
	}
}

// badForms writes forms by hand: no library makes such ones.
func badForms() []bad {
	of := func(name, body, text string, status int) bad {
		return bad{name: name, request: predictOf(faqModel, "multipart/form-data; boundary=x", []byte(body)), status: status, text: text}
	}
	part := func(header, content string) string {
		return "--x\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + content + "\r\n"
	}
	without := of("no boundary", part(`name="q"`, "How?")+"--x--\r\n", "multipart/form-data without a boundary: let the HTTP client set the content type", 400)
	without.contentType = "multipart/form-data"
	return []bad{
		without,
		of("no parts", "--x--\r\n", "the form has no instances: send one part for each", 400),
		of("cut off", part(`name="q"`, "How?"), `form part "q" is damaged or cut off`, 400),
		of("empty part", part(`name="q"`, "")+"--x--\r\n", `form part "q" is empty`, 400),
		of("bad parameters", part(`name="parameters"`, "{")+"--x--\r\n", `"parameters" is not valid JSON: it ends before the value does`, 400),
		of("invalid UTF-8", part(`name="q"`, "\xff")+"--x--\r\n", `form part "q" is not valid UTF-8 (byte 0xff at offset 0)`, 400),
		of("too many parts", strings.Repeat(part(`name="q"`, "How?"), 5)+"--x--\r\n", "5 instances in one request: at most 4 are allowed; split the request", 413),
	}
}

func badParameters(t *testing.T) []bad {
	t.Helper()
	picture := golden(t, imageModel).cases[0].picture
	query := func(name, query, text string) bad {
		r := predictOf(imageModel, "image/png", picture)
		r.path += query
		return bad{name: name, request: r, status: 400, text: text}
	}
	body := func(name, parameters, text string) bad {
		return bad{name: name, request: jsonTo(faqModel, `{"instances":["How?"],"parameters":`+parameters+`}`), status: 400, text: text}
	}
	header := func(name, key, value, text string) bad {
		r := predictOf(imageModel, "image/png", picture)
		r.header = map[string]string{key: value}
		return bad{name: name, request: r, status: 400, text: text}
	}
	const budget = ": want a whole number of milliseconds, at least 1"
	return []bad{
		query("top_k 0", "?top_k=0", "top_k is 0: want a whole number, at least 1"),
		query("top_k no number", "?top_k=many", `top_k is "many": want a whole number, at least 1`),
		query("unknown in the query", "?k=3", `unknown query parameter "k": want top_k`),
		body("top_k 0", `{"top_k":0}`, "top_k is 0: want a whole number, at least 1"),
		body("top_k negative", `{"top_k":-1}`, "top_k is -1: want a whole number, at least 1"),
		body("top_k no number", `{"top_k":"3"}`, `"parameters": "top_k" is a JSON string: want a whole number`),
		body("unknown", `{"topk":3}`, `"parameters": unknown key "topk": want top_k`),
		body("no object", `[]`, `"parameters" is a JSON array: want an object`),
		header("budget no number", "X-Request-Timeout-Ms", "soon", `header x-request-timeout-ms is "soon"`+budget),
		header("budget 0", "X-Request-Timeout-Ms", "0", `header x-request-timeout-ms is "0"`+budget),
		header("budget negative", "X-Request-Timeout-Ms", "-5", `header x-request-timeout-ms is "-5"`+budget),
		header("long id", "X-Request-Id", strings.Repeat("i", 300), "the request's id is 300 bytes long: at most 256 are allowed"),
	}
}

func badTensors(t *testing.T) []bad {
	t.Helper()
	of := func(name, body, text string) bad {
		return bad{name: name, status: 400, text: text, request: request{path: "/v2/models/" + imageModel + "/infer", contentType: "application/json", body: []byte(body)}}
	}
	images := func(name, datatype, shape, data, text string) bad {
		return of(name, fmt.Sprintf(`{"inputs":[{"name":"images","datatype":%q,"shape":%s,"data":%s}]}`, datatype, shape, data), text)
	}
	binary := of("binary tensors", `{"inputs":[]}`, "the JSON part of the body is not valid JSON: it ends before the value does")
	binary.header = map[string]string{"Inference-Header-Content-Length": "10"}
	classification := of("classification", `{"inputs":[{"name":"images","datatype":"FP32","shape":[0],"data":[]}],"outputs":[{"name":"probabilities","parameters":{"classification":"3"}}]}`,
		`parameter classification of an output: want a whole number of classes, 0 or more`)
	right := `{"name":"images","datatype":"FP32","shape":[1,3,224,224],"data":[` + strings.Repeat("0,", 3*224*224-1) + `0]}`
	return []bad{
		images("wrong shape", "FP32", "[1,3,2,2]", "[0,0,0,0,0,0,0,0,0,0,0,0]", `input "images": shape [1,3,2,2]: want [-1,3,224,224]`),
		images("wrong rank", "FP32", "[3]", "[1,2,3]", `input "images": shape [3]: want [-1,3,224,224]`),
		images("negative dimension", "FP32", "[-1]", "[]", `input "images": shape [-1]: want dimensions of 0 or more, and a product that fits 64 bits`),
		images("wrong datatype", "INT32", "[1]", "[1]", `input "images": datatype INT32: want FP32`),
		images("unknown datatype", "FLOAT", "[1]", "[1]", `input "images": datatype "FLOAT": want one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES`),
		images("wrong count", "FP32", "[1,3,224,224]", "[1,2,3]", `input "images" has 3 values, its shape [1,3,224,224] wants 150528`),
		images("too many values", "FP32", "[1,2]", "[1,2,3]", `input "images" has 3 values, its shape [1,2] wants 2`),
		images("a string", "FP32", "[2]", `[1,"a"]`, `input "images": "data": want FP32, got a string at value 1`),
		images("an object", "FP32", "[2]", `[1,{}]`, `input "images": "data": want numbers, got an object at value 1`),
		images("out of range", "FP32", "[1]", `[1e99]`, `input "images": "data": does not fit into FP32 at value 0`),
		images("no data", "FP32", "[1]", "null", `input "images": "data": want an array`),
		of("unknown input", `{"inputs":[{"name":"pixels","datatype":"FP32","shape":[1],"data":[1]}]}`, `input "pixels": the model has no such input: want "images"`),
		of("unknown output", `{"inputs":[`+right+`],"outputs":[{"name":"logits"}]}`, `output "logits": the model has no such output: want "probabilities"`),
		of("twice", `{"inputs":[`+right+`,`+right+`]}`, `input "images" is given twice`),
		of("no name", `{"inputs":[{"datatype":"FP32","shape":[1],"data":[1]}]}`, `an input has no "name"`),
		of("no shape", `{"inputs":[{"name":"images","datatype":"FP32","data":[1]}]}`, `input "images" has no "shape"`),
		of("missing data", `{"inputs":[{"name":"images","datatype":"FP32","shape":[1]}]}`, `input "images" has no "data"`),
		of("no inputs", `{}`, `"inputs" is missing or empty: want {"inputs": [{"name", "shape", "datatype", "data"}]}`),
		of("malformed", `{"inputs":[}`, "the body is not valid JSON: invalid character '}' looking for beginning of value at offset 12"),
		of("cut off", `{"inputs":[`, "the body is not valid JSON: it ends before the value does"),
		of("empty", ``, `the body is empty: send {"inputs": [...]}`),
		of("invalid UTF-8", "{\"inputs\":\"\xff\"}", "the body is not valid UTF-8 (byte 0xff at offset 11)"),
		of("bad timeout", `{"inputs":[`+right+`],"parameters":{"timeout":"1s"}}`, "parameter timeout: want a whole number of microseconds, 0 or more"),
		binary, classification,
	}
}
