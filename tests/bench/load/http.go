package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// httpClient is as much of HTTP/1.1 as one request that never changes needs: it writes
// bytes that were made once, and reads of the answer its status and where it ends.
type httpClient struct {
	address string
	bytes   []byte
	conn    net.Conn
	in      *bufio.Reader
}

func newHTTPClient(r Request) *httpClient {
	return &httpClient{address: r.Address, bytes: requestBytes(r)}
}

// requestBytes are what is written for a request.
func requestBytes(r Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nhost: %s\r\ncontent-length: %d\r\n", r.Path, r.Address, len(r.Body))
	for _, name := range sortedNames(r.Headers) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, r.Headers[name])
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return b.Bytes()
}

func (c *httpClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// do implements client.
func (c *httpClient) do() (stats.Outcome, error) {
	status, err := c.exchange()
	if err != nil {
		c.close()
		return stats.Failed, err
	}
	outcome := stats.OutcomeOf(status)
	if outcome == stats.Failed {
		err = fmt.Errorf("status %d", status)
	}
	return outcome, err
}

// exchange sends the request and reads the answer.
func (c *httpClient) exchange() (status int, err error) {
	if c.conn == nil {
		if c.conn, err = dial(c.address); err != nil {
			return 0, err
		}
		if c.in == nil {
			c.in = bufio.NewReaderSize(c.conn, 16<<10)
		} else {
			c.in.Reset(c.conn)
		}
	}
	if _, err := c.conn.Write(c.bytes); err != nil {
		return 0, err
	}
	a, err := readHead(c.in)
	if err != nil {
		return 0, err
	}
	if err := a.skipBody(c.in); err != nil {
		return 0, err
	}
	if a.closes {
		c.close()
	}
	return a.status, nil
}

// answer is what the head of an answer says.
type answer struct {
	status  int
	length  int // -1: until the connection ends
	chunked bool
	closes  bool
}

// readHead reads up to the empty line.
func readHead(in *bufio.Reader) (answer, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return answer{}, err
	}
	if len(line) < 12 {
		return answer{}, fmt.Errorf("no status line: %q", line)
	}
	a := answer{length: -1}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return answer{}, fmt.Errorf("no status line: %q", line)
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return answer{}, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return a, nil
		}
		if err := a.header(line); err != nil {
			return answer{}, err
		}
	}
}

// The headers that say where an answer ends.
var (
	contentLength    = []byte("content-length")
	transferEncoding = []byte("transfer-encoding")
	connection       = []byte("connection")
)

// header takes note of a header line.
func (a *answer) header(line []byte) (err error) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, contentLength):
		if a.length, err = strconv.Atoi(string(value)); err != nil || a.length < 0 {
			return errors.New("a content length that is no number")
		}
	case bytes.EqualFold(name, transferEncoding):
		a.chunked = true
	case bytes.EqualFold(name, connection):
		a.closes = bytes.EqualFold(value, []byte("close"))
	}
	return nil
}

// skipBody reads to the end of the answer.
func (a answer) skipBody(in *bufio.Reader) error {
	switch {
	case a.status == http.StatusNoContent:
		return nil // it has no body, and no length either
	case a.chunked:
		return skipChunks(in)
	case a.length >= 0:
		_, err := in.Discard(a.length)
		return err
	case a.closes:
		_, err := io.Copy(io.Discard, in)
		return err
	default:
		return errors.New("an answer without length")
	}
}

// skipChunks reads a chunked body without trailers.
func skipChunks(in *bufio.Reader) error {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return fmt.Errorf("a chunk without size: %q", line)
		}
		if _, err := in.Discard(int(size) + len("\r\n")); err != nil {
			return err
		}
		if size == 0 {
			return nil
		}
	}
}

func sortedNames(headers map[string]string) []string {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
