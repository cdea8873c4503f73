package registryapi_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/ingress/operator/operatortest"
	"github.com/onda-serving/onda/app/scoring"
)

// dial opens a connection of its own and sends text.
func dial(t *testing.T, r *rig, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// read reads an answer.
func read(t *testing.T, conn net.Conn) answer {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

const authorised = "Host: onda\r\nAuthorization: Bearer " + token + "\r\n"

func TestHasBlob(t *testing.T) {
	t.Parallel()
	r := start(t)
	if got := r.call(t, "HEAD", blobPath, ""); got.status != 404 || got.body != "" {
		t.Errorf("got %d %q, want 404", got.status, got.body)
	}
	r.service.old = true
	if got := r.call(t, "HEAD", blobPath, ""); got.status != 200 || got.header.Get("Content-Length") != "7" {
		t.Errorf("got %d with the headers %v, want 200 with 7 bytes", got.status, got.header)
	}
	r.service.err = refusal(scoring.Unimplemented)
	if got := r.call(t, "HEAD", blobPath, ""); got.status != 501 {
		t.Errorf("got %d, want 501", got.status)
	}
}

// TestBlobThatIsThereIsNotSent has a caller that waits for "100 Continue".
func TestBlobThatIsThereIsNotSent(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.service.old = true
	conn := dial(t, r, "PUT "+blobPath+" HTTP/1.1\r\n"+authorised+"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
	got := read(t, conn)
	expect(t, got, 200, `{"sha256":"`+strings.Repeat("a", 64)+`","size":1000}`)
	if r.counter.last() != "upload OK" {
		t.Errorf("counted %q", r.counter.last())
	}
}

func TestUploadNeedsALength(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn := dial(t, r, "PUT "+blobPath+" HTTP/1.1\r\n"+authorised+"Transfer-Encoding: chunked\r\n\r\n")
	expect(t, read(t, conn), 411, operatortest.Failure("content-length is missing: send the number of bytes of the file"))
}

func TestUploadThatIsCutOff(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn := dial(t, r, "PUT "+blobPath+" HTTP/1.1\r\n"+authorised+"Content-Length: 10\r\n\r\n12345")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	expect(t, read(t, conn), 400, operatortest.Failure("the body is cut off: fewer bytes arrived than were announced"))
}

// TestFullStore has a caller that looks for the answer only when all is sent: the connection
// must not be reset before.
func TestFullStore(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{"full": syscall.ENOSPC, "quota": syscall.EDQUOT, "read-only": syscall.EROFS, "somebody else's": syscall.EACCES} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(r *rig) { r.config.MaxBlob = 1 << 30 })
			r.service.most = 1 << 20
			r.service.err = scoring.Errorf(scoring.Unavailable, "artifact store: no").WithCause(cause)
			const size = 64 << 20
			conn := dial(t, r, "PUT "+blobPath+" HTTP/1.1\r\n"+authorised+"Content-Length: "+strconv.Itoa(size)+"\r\n\r\n")
			if _, err := io.CopyN(conn, zeros{}, size); err != nil {
				t.Fatalf("the body cannot be sent: %v", err)
			}
			expect(t, read(t, conn), 507, operatortest.Failure("artifact store: no"))
			if got := r.counter.last(); got != "upload Unavailable" {
				t.Errorf("counted %q", got)
			}
		})
	}
}

// TestFailedUploadIsNotWaitedFor has callers that send no more: the one waits to be told to go
// on, and the other just stops.
func TestFailedUploadIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ header, body string }{
		"waits": {"Expect: 100-continue\r\n", ""}, "stops": {"", "some"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.service.most = int64(len(test.body))
			r.service.err = refusal(scoring.Unavailable)
			began := time.Now()
			conn := dial(t, r, "PUT "+blobPath+" HTTP/1.1\r\n"+authorised+"Content-Length: 1000\r\n"+test.header+"\r\n"+test.body)
			if got := read(t, conn); got.status != 503 {
				t.Errorf("got %d %s, want 503", got.status, got.body)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestUploadMayBeSlow sends a file that takes longer than a body may, with no long pause.
func TestUploadMayBeSlow(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.ReadTimeout = 1500 * time.Millisecond })
	conn := dial(t, r, "PUT "+blobPath+" HTTP/1.1\r\n"+authorised+"Content-Length: 5\r\n\r\n")
	for range 5 {
		time.Sleep(400 * time.Millisecond)
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, read(t, conn), 201, `{"sha256":"`+strings.Repeat("a", 64)+`","size":5}`)
}

func TestUploadThatStops(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.ReadTimeout = 50 * time.Millisecond })
	conn := dial(t, r, "PUT "+blobPath+" HTTP/1.1\r\n"+authorised+"Content-Length: 10\r\n\r\n12345")
	expect(t, read(t, conn), 504, operatortest.Failure("the body did not arrive within 50ms"))
}

func TestChangeWhoseBodyStops(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.ReadTimeout = 50 * time.Millisecond })
	conn := dial(t, r, "PUT "+models+"/m/pin HTTP/1.1\r\n"+authorised+"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
	expect(t, read(t, conn), 504, operatortest.Failure("the body did not arrive within 50ms"))
}

// TestRefusedBodyIsNotWaitedFor sends no byte of a body that is refused for its headers.
func TestRefusedBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, request := range []string{
		"PUT " + blobPath + " HTTP/1.1\r\nHost: onda\r\nContent-Length: 10\r\n\r\n",
		"PUT " + blobPath + " HTTP/1.1\r\n" + authorised + "Content-Length: 1073741824\r\n\r\n",
		"PUT " + models + "/m/pin HTTP/1.1\r\n" + authorised + "Content-Length: 1073741824\r\n\r\n",
		"POST " + models + " HTTP/1.1\r\n" + authorised + "Content-Length: 10\r\n\r\n",
	} {
		conn := dial(t, r, request)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 || !resp.Close {
			t.Errorf("%s: got %s, and the connection is kept open for a body that nobody reads", request, resp.Status)
		}
	}
}

func TestChunkedChangeIsBounded(t *testing.T) {
	t.Parallel()
	r := start(t)
	chunk := "8000\r\n" + strings.Repeat(" ", 0x8000) + "\r\n"
	conn := dial(t, r, "PUT "+models+"/m/pin HTTP/1.1\r\n"+authorised+"Transfer-Encoding: chunked\r\n\r\n"+chunk+chunk+"1\r\n \r\n0\r\n\r\n")
	expect(t, read(t, conn), 413, operatortest.Failure("the body is too large: at most 65536 bytes are allowed for a change, got more than that"))
}

func TestAFewUploadsAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	r.service.during = func(context.Context, admin.Ask) error {
		inside <- struct{}{}
		<-leave
		return nil
	}
	answers := make(chan int)
	for range 16 {
		go func() { answers <- r.call(t, "PUT", blobPath, "x").status }()
		<-inside
	}
	got := r.call(t, "PUT", blobPath, "x")
	expect(t, got, 429, operatortest.Failure("16 files are being uploaded, and no more are taken at once: try again"))
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q, want 1", got.header.Get("Retry-After"))
	}
	close(leave)
	for range 16 {
		if status := <-answers; status != 201 {
			t.Errorf("got %d, want 201", status)
		}
	}
}
