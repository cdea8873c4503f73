package e2e_test

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// maxBody is what the tests of bad inputs set.
const maxBody = 2 << 20

func badSizes(t *testing.T) []bad {
	t.Helper()
	over := bytes.Repeat([]byte{0}, maxBody+1)
	chunked := predictOf(imageModel, "application/octet-stream", over)
	chunked.chunked = true
	const text = "the body is too large: at most 2097152 bytes are allowed (ONDA_MAX_BODY), got "
	return []bad{
		{name: "one byte too many", request: predictOf(imageModel, "application/octet-stream", over), status: 413, text: text + "2097153 bytes"},
		{name: "one byte too many in chunks", request: chunked, status: 413, text: text + "more than that", directOnly: "a sidecar may give the body a length"},
		{name: "as many as allowed", request: predictOf(imageModel, "application/octet-stream", over[1:]), status: 400, text: "instances[0]: the bytes are not a picture: send JPEG, PNG, WebP or GIF"},
		{name: "too many instances", request: jsonTo(faqModel, `{"instances":["1","2","3","4","5"]}`), status: 413, text: "5 instances in one request: at most 4 are allowed; split the request"},
		{name: "to infer", request: request{path: "/v2/models/image-classification/infer", contentType: "application/json", body: over}, status: 413, text: text + "2097153 bytes"},
	}
}

// badConnections sends what no HTTP library would.
func badConnections(t *testing.T, s *stack) {
	const head = "POST /v1/models/image-classification:predict HTTP/1.1\r\nHost: onda\r\nContent-Type: image/jpeg\r\n"
	t.Run("a length of 1 GB", func(t *testing.T) {
		start := time.Now()
		// Nothing follows the header: the answer must not wait for it.
		got := exchangeRaw(t, s, head+"Content-Length: 1000000000\r\n\r\n")
		want := errorBody(t, "the body is too large: at most 2097152 bytes are allowed (ONDA_MAX_BODY), got 1000000000 bytes")
		if got.status != http.StatusRequestEntityTooLarge || got.body != want || !got.closes {
			t.Errorf("%d %s %v\nwant 413 %s, and the connection closed", got.status, got.body, got.header, want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the answer took %s", took)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		got := exchangeRaw(t, s, head+"Content-Length: 100\r\n\r\n\xff\xd8\xff")
		// Half a closed connection may be read as one that the caller left.
		cut, left := errorBody(t, "the body is cut off: fewer bytes arrived than were announced"), errorBody(t, "the caller closed the request before there was an answer")
		if (got.status != http.StatusBadRequest || got.body != cut) && (got.status != 499 || got.body != left) {
			t.Errorf("%d %s, want 400 %s or 499 %s", got.status, got.body, cut, left)
		}
	})
	t.Run("a header that is too large", func(t *testing.T) {
		got := exchangeRaw(t, s, head+"X-Long: "+strings.Repeat("x", 100<<10)+"\r\n\r\n")
		if got.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%d %s, want 431", got.status, got.body)
		}
	})
	for name, header := range map[string]string{
		"a control character in a header": "X-Request-Id: a\x01b\r\nContent-Length: 0\r\n\r\n",
		"two lengths":                     "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"no header at all":                "\x16\x03\x01\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got := exchangeRaw(t, s, head+header); got.status != http.StatusBadRequest {
				t.Errorf("%d %s, want 400", got.status, got.body)
			}
		})
	}
	t.Run("bytes beyond ASCII in the id", func(t *testing.T) {
		got := exchangeRaw(t, s, head+"X-Request-Id: caf\xe9\r\nContent-Length: 1\r\n\r\nx")
		want := errorBody(t, "the request's id has a character that is not printable ASCII at offset 3")
		if got.status != http.StatusBadRequest || got.body != want {
			t.Errorf("%d %s, want 400 %s", got.status, got.body, want)
		}
	})
}

// rawReply is an answer that also says whether the server closes the connection.
type rawReply struct {
	reply

	closes bool
}

// exchangeRaw sends bytes directly to Onda, says that no more will follow, and reads one
// answer.
func exchangeRaw(t *testing.T, s *stack, text string) rawReply {
	t.Helper()
	conn, err := net.Dial("tcp", local(s.onda.port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && !strings.Contains(text, "1000000000") {
		_ = tcp.CloseWrite() // the server may have closed already: it has answered then
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %s", err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatalf("half an answer: %s", err)
	}
	return rawReply{reply{status: resp.StatusCode, header: resp.Header, body: body.String()}, resp.Close}
}

// shortBudget gives a large picture a millisecond: either it is enough, or the answer
// says that it was not.
func shortBudget(t *testing.T, s *stack) {
	r := predictOf(imageModel, "image/jpeg", noisyJPEG(t, 1600, 1200))
	r.header = map[string]string{"X-Request-Timeout-Ms": "1"}
	want := errorBody(t, "the request's time budget was spent before there was an answer")
	spent := 0
	for range 5 {
		for _, w := range s.ways() {
			switch got := r.to(t, w); {
			case got.status == http.StatusOK:
			case got.status == http.StatusGatewayTimeout && got.body == want:
				spent++
			default:
				t.Errorf("%s: %d %s, want 200, or 504 %s", w.name, got.status, clip(got.body), want)
			}
		}
	}
	t.Logf("%d of 15 requests had too short a budget", spent)
}
