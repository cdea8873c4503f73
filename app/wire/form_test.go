package wire_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// part is a part of a form: the headers as they are on the wire, and the data.
type part struct {
	disposition, contentType, encoding, data string
}

// form writes parts as an HTTP client does.
func form(t *testing.T, parts ...part) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		header := textproto.MIMEHeader{"Content-Disposition": {p.disposition}}
		if p.contentType != "" {
			header.Set("Content-Type", p.contentType)
		}
		if p.encoding != "" {
			header.Set("Content-Transfer-Encoding", p.encoding)
		}
		to, err := w.CreatePart(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write([]byte(p.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

func TestDecodeForm(t *testing.T) {
	t.Parallel()
	field := `form-data; name="text"`
	file := `form-data; name="file"; filename="cat.jpg"`
	parameters := part{disposition: `form-data; name="parameters"`, data: `{"top_k": 2}`}
	tests := []struct {
		name  string
		parts []part
		want  []scoring.Instance
		topK  int
	}{
		{"file", []part{{file, "image/jpeg", "", "\xff\xd8"}}, []scoring.Instance{binary("\xff\xd8")}, 0},
		{"file without a type", []part{{file, "", "", "\xff\xd8"}}, []scoring.Instance{binary("\xff\xd8")}, 0},
		{"picture without a file name", []part{{field, "image/png", "", "\x89"}}, []scoring.Instance{binary("\x89")}, 0},
		{"field", []part{{field, "", "", "hi"}}, []scoring.Instance{text("hi")}, 0},
		{"text file", []part{{file, "text/plain; charset=utf-8", "", "hé"}}, []scoring.Instance{text("hé")}, 0},
		{"field without a name", []part{{"form-data", "", "", "hi"}}, []scoring.Instance{text("hi")}, 0},
		{"order", []part{{field, "", "", "a"}, {file, "image/jpeg", "", "b"}, {field, "", "", "c"}}, []scoring.Instance{text("a"), binary("b"), text("c")}, 0},
		{"parameters first", []part{parameters, {field, "", "", "a"}}, []scoring.Instance{text("a")}, 2},
		{"parameters last", []part{{field, "", "", "a"}, parameters}, []scoring.Instance{text("a")}, 2},
		{"empty parameters", []part{{field, "", "", "a"}, {`form-data; name="parameters"`, "", "", ""}}, []scoring.Instance{text("a")}, 0},
		{"parameters do not count", []part{{field, "", "", "a"}, {field, "", "", "b"}, {field, "", "", "c"}, {field, "", "", "d"}, parameters}, []scoring.Instance{text("a"), text("b"), text("c"), text("d")}, 2},
		{"encodings that change nothing", []part{{field, "", "8bit", "a"}, {file, "image/jpeg", "BINARY", "b"}, {field, "", "7bit", "c"}}, []scoring.Instance{text("a"), binary("b"), text("c")}, 0},
		{"the boundary's dashes in the data", []part{{field, "", "", "--\r\n--x\r\n"}}, []scoring.Instance{text("--\r\n--x\r\n")}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			contentType, body := form(t, test.parts...)
			req, err := wire.DecodePredict(contentType, body, limits)
			if err != nil {
				t.Fatal(err)
			}
			same(t, req.Instances, test.want)
			if req.Parameters.TopK != test.topK {
				t.Errorf("got top_k %d, want %d", req.Parameters.TopK, test.topK)
			}
		})
	}
}

func TestDecodeFormRefuses(t *testing.T) {
	t.Parallel()
	field := `form-data; name="text"`
	file := `form-data; name="file"; filename="cat.jpg"`
	a := part{disposition: field, data: "a"}
	named := func(value string) part { return part{disposition: `form-data; name="parameters"`, data: value} }
	tests := []struct {
		name  string
		parts []part
		code  scoring.Code
		want  string
	}{
		{"no parts", nil, scoring.Invalid, "the form has no instances: send one part for each"},
		{"only parameters", []part{named(`{"top_k": 2}`)}, scoring.Invalid, "the form has no instances: send one part for each"},
		{"empty part", []part{a, {disposition: field}}, scoring.Invalid, `form part "text" is empty`},
		{"empty file", []part{{file, "image/jpeg", "", ""}}, scoring.Invalid, `form part "file" is empty`},
		{"too many", []part{a, a, a, a, a}, scoring.TooLarge, "5 instances in one request: at most 4 are allowed; split the request"},
		{"invalid UTF-8", []part{{field, "", "", "a\xff"}}, scoring.Invalid, `form part "text" is not valid UTF-8 (byte 0xff at offset 1)`},
		{"other charset", []part{{field, "text/plain; charset=utf-16", "", "a"}}, scoring.UnsupportedMedia, `form part "text": charset "utf-16" is not supported: send UTF-8`},
		{"text in base64", []part{{field, "", "base64", "YQ=="}}, scoring.UnsupportedMedia, `form part "text": content-transfer-encoding "base64" is not supported: send the data as it is`},
		{"picture in base64", []part{{file, "image/jpeg", "base64", "YQ=="}}, scoring.UnsupportedMedia, `form part "file": content-transfer-encoding "base64" is not supported: send the data as it is`},
		{"quoted-printable", []part{{field, "", "quoted-printable", "a=20b"}}, scoring.UnsupportedMedia, `form part "text": content-transfer-encoding "quoted-printable" is not supported: send the data as it is`},
		{"broken parameters", []part{a, named("top_k=2")}, scoring.Invalid, `"parameters" is not valid JSON: invalid character 'o' in literal true (expecting 'r') at offset 2`},
		{"parameters cut off", []part{a, named(`{"top_k"`)}, scoring.Invalid, `"parameters" is not valid JSON: it ends before the value does`},
		{"unknown parameter", []part{a, named(`{"k": 1}`)}, scoring.Invalid, `"parameters": unknown key "k": want top_k`},
		{"parameter twice", []part{a, named(`{"top_k": 1, "top_k": 2}`)}, scoring.Invalid, `"parameters" has the key "top_k" twice in one object: want it once`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			contentType, body := form(t, test.parts...)
			_, err := wire.DecodePredict(contentType, body, limits)
			refused(t, err, test.code, test.want)
		})
	}
}

// TestFormCutOff cuts a form at every byte: none of the shorter ones may pass for whole.
func TestFormCutOff(t *testing.T) {
	t.Parallel()
	contentType, body := form(t,
		part{disposition: `form-data; name="a"`, data: "first"},
		part{disposition: `form-data; name="b"; filename="b.png"`, contentType: "image/png", data: "second"})
	// The last line break is not needed: many clients leave it out.
	whole := len(bytes.TrimRight(body, "\r\n"))
	for n := 1; n < whole; n++ {
		req, err := wire.DecodePredict(contentType, body[:n], limits)
		if err == nil {
			t.Fatalf("%d of %d bytes: got %d instances, want an error", n, whole, len(req.Instances))
		}
		e := scoring.AsError(err)
		if e.Code != scoring.Invalid || !strings.Contains(e.Message, "damaged or cut off") {
			t.Fatalf("%d of %d bytes: got %v, want that it is cut off", n, whole, e)
		}
	}
	if _, err := wire.DecodePredict(contentType, body[:whole], limits); err != nil {
		t.Errorf("the whole form: got %v, want no error", err)
	}
}

func TestFormDamaged(t *testing.T) {
	t.Parallel()
	const disposition = "Content-Disposition: form-data; name=a\r\n\r\n"
	tests := []struct {
		name, contentType, body, want string
	}{
		{"no boundary", "multipart/form-data", "x", "multipart/form-data without a boundary: let the HTTP client set the content type"},
		{"wrong boundary", "multipart/form-data; boundary=other", "--b\r\n" + disposition + "hi\r\n--b--", "the form is damaged or cut off after 0 instances"},
		{"cut off in the last boundary", "multipart/form-data; boundary=b", "--b\r\n" + disposition + "hi\r\n--b", "the form is damaged or cut off after 1 instances"},
		{"cut off in the data", "multipart/form-data; boundary=b", "--b\r\n" + disposition + "hi", `form part "a" is damaged or cut off`},
		{"cut off in a header", "multipart/form-data; boundary=b", "--b\r\nContent-Dispo", "the form is damaged or cut off after 0 instances"},
		{"a header without a colon", "multipart/form-data; boundary=b", "--b\r\nnonsense\r\n\r\nhi\r\n--b--", "the form is damaged or cut off after 0 instances"},
		{"huge header", "multipart/form-data; boundary=b", "--b\r\nX: " + strings.Repeat("x", 11<<20) + "\r\n\r\nhi\r\n--b--", "the form is damaged or cut off after 0 instances"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.DecodePredict(test.contentType, []byte(test.body), limits)
			refused(t, err, scoring.Invalid, test.want)
		})
	}
}

func ExampleDecodePredict() {
	req, err := wire.DecodePredict("text/plain", []byte("How do I pay?"), wire.Limits{MaxInstances: 64})
	fmt.Println(req.Instances[0].Kind, string(req.Instances[0].Data), err)
	// Output: text How do I pay? <nil>
}
