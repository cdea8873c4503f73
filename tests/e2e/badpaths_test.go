package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// rewritten is why a path is asked for directly only.
const rewritten = "the sidecar decodes and cleans the path, or refuses it"

func badNames(t *testing.T) []bad {
	t.Helper()
	picture := golden(t, imageModel).cases[0].picture
	of := func(name, path string, status int, text string) bad {
		return bad{name: name, request: request{path: path, contentType: "image/png", body: picture}, status: status, text: text}
	}
	get := func(name, path string, status int, text string) bad {
		return bad{name: name, request: request{path: path}, status: status, text: text}
	}
	direct := func(b bad, why string) bad {
		b.directOnly = why
		return b
	}
	const (
		nothing = `: want /v1/models/MODEL:predict, /v2/models/MODEL/infer or another path of README.md`
		letters = `: use letters, digits, '.', '_' and '-', a letter or digit first`
		unknown = `Request for unknown model: 'none' is not found: there are faq-matching, image-classification: GET /v1/models lists the models`
	)
	return []bad{
		of("unknown model", "/v1/models/none:predict", 404, unknown),
		get("unknown model's status", "/v1/models/none", 404, unknown),
		get("unknown model's metadata", "/v2/models/none", 404, unknown),
		get("unknown model's readiness", "/v2/models/none/ready", 404, unknown),
		of("unknown version", "/v1/models/image-classification/versions/99:predict", 404, `model "image-classification" has no version 99: there is 1: GET /v1/models/image-classification lists its versions`),
		of("unknown label", "/v1/models/image-classification/labels/canary:predict", 404, `model "image-classification" has no label "canary": there is live: GET /v1/models/image-classification lists its labels`),
		of("version no number", "/v1/models/image-classification/versions/one:predict", 400, `version "one": want a positive whole number`),
		of("version 0", "/v1/models/image-classification/versions/0:predict", 400, `version "0": want a positive whole number`),
		of("version too large", "/v1/models/image-classification/versions/99999999999999999999:predict", 400, `version "99999999999999999999": want a positive whole number`),
		get("version's status no number", "/v1/models/image-classification/versions/x", 400, `version "x": want a positive whole number`),
		of("unknown verb", "/v1/models/image-classification:train", 404, `unknown verb ":train": want :predict`),
		of("verb of others", "/v1/models/image-classification:classify", 501, ":classify is not offered: use :predict"),
		of("no model", "/v1/models/:predict", 400, "model name is empty"),
		of("unknown path", "/predict", 404, "there is nothing at POST /predict"+nothing),
		get("unknown path to read", "/v3/models", 404, "there is nothing at GET /v3/models"+nothing),
		of("long name", "/v1/models/"+strings.Repeat("m", 2000)+":predict", 400, "model name is 2000 bytes long: at most 128 are allowed"),
		of("long unknown verb", "/v1/models/m:"+strings.Repeat("v", 500), 404, `unknown verb ":`+strings.Repeat("v", 120)+`...": want :predict`),
		of("strange character", "/v1/models/a%20b:predict", 400, `model name "a b"`+letters),
		direct(of("out of the folder", "/v1/models/..%2f..%2fetc:predict", 400, `model name "../../etc"`+letters), rewritten),
		of("hidden", "/v1/models/.git:predict", 400, `model name ".git"`+letters),
		direct(get("status out of the folder", "/v1/models/..%2f..", 400, `model name "../.."`+letters), rewritten),
		direct(get("label out of the folder", "/v1/models/image-classification/labels/..%2fx", 400, `label "../x"`+letters), rewritten),
		direct(of("control characters", "/v1/models/a%0d%0ab:predict", 400, "model name \"a\\r\\nb\""+letters), rewritten),
		direct(of("invalid UTF-8", "/v1/models/a%ff:predict", 400, `model name "a\xff"`+letters), rewritten),
	}
}

func badMethods() []bad {
	of := func(method, path, allow string) bad {
		text := "method " + method + " is not allowed here: use " + strings.ReplaceAll(allow, ", ", " or ")
		return bad{name: method + " " + path, request: request{method: method, path: path}, status: http.StatusMethodNotAllowed, text: text, allow: allow}
	}
	return []bad{
		of(http.MethodGet, "/v2/models/image-classification/infer", "POST"),
		of(http.MethodGet, "/v1/models/image-classification:predict", "POST"),
		of(http.MethodGet, "/v1/models/image-classification/labels/live:predict", "POST"),
		of(http.MethodPost, "/v1/models/image-classification", "GET"),
		of(http.MethodPost, "/v1/models", "GET"),
		of(http.MethodPost, "/healthz", "GET"),
		of(http.MethodDelete, "/v1/models/image-classification:predict", "POST"),
		of(http.MethodDelete, "/v1/models/image-classification", "GET"),
		of(http.MethodDelete, "/v2/models/image-classification", "GET"),
		of(http.MethodPut, "/v2/models/image-classification/infer", "POST"),
		of(http.MethodPost, "/registry/v1/models", "GET"),
	}
}
