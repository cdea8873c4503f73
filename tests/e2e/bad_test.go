package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// bad is a request that must be refused, and how.
type bad struct {
	request

	name string
	// status and text are the whole answer: {"error": text}.
	status int
	text   string
	// allow is the header of that name.
	allow string
	// directOnly says why the request cannot be sent through a sidecar, or does not
	// arrive there as it was sent; "" where it must pass unchanged.
	directOnly string
}

// The texts that several refusals share.
const (
	predictTypes  = "application/json, multipart/form-data, text/plain, application/octet-stream, image/jpeg, image/png, image/webp or image/gif"
	wantsPictures = `instances[0]: this model takes pictures: send {"b64": "..."} or the picture itself as image/jpeg, image/png, image/webp or image/gif`
	wantsText     = `instances[0]: this model takes text: send a string, {"text": "..."} or the text itself as text/plain`
	wantsInstance = `want a string, {"text": "..."} or {"b64": "..."}`
)

// TestBadInputs sends what must be refused, by every way. The answer says what was wrong,
// where, and what would be right; Dapr passes it on as it is.
func TestBadInputs(t *testing.T) {
	group(t)
	s := startStack(t, map[string]string{"ONDA_MAX_BODY": "2Mi", "ONDA_MAX_INSTANCES": "4"})
	for _, of := range []struct {
		name  string
		cases []bad
	}{
		{"types", badTypes(t)},
		{"pictures", badPictures(t)},
		{"texts", badTexts()},
		{"JSON", badJSON(t)},
		{"forms", badForms()},
		{"parameters", badParameters(t)},
		{"tensors", badTensors(t)},
		{"names", badNames(t)},
		{"methods", badMethods()},
		{"sizes", badSizes(t)},
	} {
		t.Run(of.name, func(t *testing.T) {
			for _, c := range of.cases {
				t.Run(c.name, func(t *testing.T) { s.refuses(t, c) })
			}
		})
	}
	t.Run("connections", func(t *testing.T) { badConnections(t, s) })
	t.Run("short budget", func(t *testing.T) { shortBudget(t, s) })
	t.Run("still works", func(t *testing.T) {
		g := golden(t, imageModel)
		a := s.predict(t, imageModel+":predict", "image/png", g.cases[0].picture)
		g.check(t, a.Predictions[0], g.cases[0])
	})
}

// refuses sends the request and looks at status, body and headers.
func (s *stack) refuses(t *testing.T, c bad) {
	t.Helper()
	var got reply
	if c.directOnly != "" {
		got = c.request.to(t, s.direct())
	} else {
		got = s.everyWay(t, c.request)
	}
	if want := errorBody(t, c.text); got.status != c.status || got.body != want {
		t.Errorf("%s %s: %d %s\nwant %d %s", c.verb(), c.path, got.status, clip(got.body), c.status, want)
	}
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("content type is %q", kind)
	}
	if allow := got.header.Get("Allow"); allow != c.allow {
		t.Errorf("Allow is %q, want %q", allow, c.allow)
	}
}

// errorBody is the body of a refusal.
func errorBody(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]string{"error": text}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// predictOf makes a request that asks for a prediction.
func predictOf(model, contentType string, body []byte) request {
	return request{method: http.MethodPost, path: "/v1/models/" + model + ":predict", contentType: contentType, body: body}
}

// jsonTo makes a prediction request with a JSON body.
func jsonTo(model, body string) request { return predictOf(model, "application/json", []byte(body)) }

func badTypes(t *testing.T) []bad {
	t.Helper()
	picture := golden(t, imageModel).cases[0].picture
	compressed := predictOf(imageModel, "image/png", picture)
	compressed.header = map[string]string{"Content-Encoding": "gzip"}
	return []bad{
		{name: "unknown", request: predictOf(imageModel, "application/xml", picture), status: 415, text: `content type "application/xml" is not supported: want ` + predictTypes},
		{
			name: "that of curl", request: predictOf(imageModel, "application/x-www-form-urlencoded", picture), status: 415,
			text: `content type "application/x-www-form-urlencoded" is not supported (curl sets this type when it is given none: add -H 'content-type: ...'): want ` + predictTypes,
		},
		{name: "malformed", request: predictOf(imageModel, "image", picture), status: 415, text: `content type "image" is not supported: want ` + predictTypes},
		{name: "missing", request: predictOf(imageModel, "", picture), status: 415, text: "the content type is missing: want " + predictTypes},
		{name: "another charset", request: predictOf(faqModel, "text/plain; charset=latin1", []byte("x")), status: 415, text: `charset "latin1" is not supported: send UTF-8`},
		{name: "compressed", request: compressed, status: 400, text: "the body is not valid gzip, as its content-encoding says: it is damaged, or has another encoding"},
		{name: "no body as JSON", request: predictOf(imageModel, "application/json", []byte{}), status: 400, text: `the body is empty: send {"instances": [...]}`},
		{name: "no body as a picture", request: predictOf(imageModel, "image/jpeg", []byte{}), status: 400, text: "the body is empty: send the picture's bytes"},
		{name: "no body as text", request: predictOf(faqModel, "text/plain", []byte{}), status: 400, text: "the body is empty: send the text"},
	}
}

func badPictures(t *testing.T) []bad {
	t.Helper()
	jpeg, png := jpegPicture(t, 320, 240), golden(t, imageModel).cases[1].picture
	of := func(name string, picture []byte, status int, text string) bad {
		return bad{name: name, request: predictOf(imageModel, "image/jpeg", picture), status: status, text: "instances[0]: " + text}
	}
	const damaged = "picture is damaged or cut off: "
	return []bad{
		of("truncated JPEG", jpeg[:len(jpeg)/2], 400, "the JPEG "+damaged+"its data do not decode"),
		of("JPEG header alone", jpeg[:20], 400, "the JPEG "+damaged+"it ends too early"),
		of("truncated PNG", png[:len(png)/2], 400, "the PNG "+damaged+"its data do not decode"),
		of("not a picture", []byte("this is no picture"), 400, "the bytes are not a picture: send JPEG, PNG, WebP or GIF"),
		of("TIFF", []byte("II*\x00and more"), 415, "the picture is TIFF, which is not read here: convert it to JPEG, PNG, WebP or GIF"),
		of("a web page", []byte("<!doctype html><title>404</title>"), 415, "the picture is an HTML page: send the picture itself and not a page that shows it"),
		of("still base64", []byte("/9j/4AAQSkZJRgABAQ"), 415, "the picture is still base64 after decoding: encode it once only, or not at all in a body of its own"),
		of("too many pixels", pngClaiming(60000, 60000), 413, "the PNG picture has 60000 x 60000 = 3600000000 pixels: at most 50000000 are allowed"),
		of("too many pixels for its bytes", pngClaiming(7000, 7000), 400, "the PNG "+damaged+"65 bytes cannot hold 7000 x 7000 pixels"),
		of("no pixels", pngClaiming(0, 100), 400, "the PNG "+damaged+"its data do not decode"),
		{name: "to the text model", request: predictOf(faqModel, "image/png", png), status: 400, text: wantsText},
	}
}

func badTexts() []bad {
	long := []byte(strings.Repeat("long ", 10_000))
	return []bad{
		{name: "to the image model", request: predictOf(imageModel, "text/plain", []byte("a cat")), status: 400, text: wantsPictures},
		{name: "to the image model in JSON", request: jsonTo(imageModel, `{"instances":["a cat"]}`), status: 400, text: wantsPictures},
		{name: "invalid UTF-8", request: predictOf(faqModel, "text/plain", []byte("caf\xe9?")), status: 400, text: "the text is not valid UTF-8 (byte 0xe9 at offset 3)"},
		{name: "a NUL", request: predictOf(faqModel, "text/plain", []byte("a\x00b")), status: 400, text: "instances[0]: the text holds the character U+0000: leave it out"},
		{name: "blank", request: predictOf(faqModel, "text/plain", []byte(" \n\t ")), status: 400, text: "instances[0]: the text is empty"},
		{name: "empty in JSON", request: jsonTo(faqModel, `{"instances":["How?",""]}`), status: 400, text: "instances[1]: the text is empty"},
		{name: "too long", request: predictOf(faqModel, "text/plain", long), status: 413, text: "instances[0]: the text is 50000 bytes long: at most 32768 are allowed"},
	}
}
