package gcs

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// progressBytes is what must have come for a broken download to begin counting its tries anew.
const progressBytes = 1 << 20

var (
	errReplaced = errors.New("the object was replaced or deleted while it was read: the next try reads the one that is there now")
	errChecksum = errors.New("the CRC32C of what was read is not that of the object: it was damaged on its way")

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Reader reads an object from an offset to its end. Where the connection breaks it goes on with
// the same generation of the object, or fails: it never mixes two. What is read from the begin
// is checked against the object's CRC32C.
type Reader struct {
	// ask opens the object at an offset; of the generation, unless that is empty.
	ask   func(offset int64, generation string) (*download, error)
	pause func(error) error // before the next try
	reset func()            // begins to count the tries anew

	from       *download // nil between two connections
	cause      error     // why there is none
	offset     int64     // of the next byte
	mark       int64     // where the tries were counted anew
	size       int64
	generation string
	sum, want  uint32
	summed     bool // want is known, and all was read
}

// download is one answer.
type download struct {
	io.ReadCloser

	size       int64 // of the whole object
	generation string
	sum        uint32
	summed     bool // sum is known
}

// Open opens an object at the offset, in bytes. ctx must live as long as the reader. Beyond the
// end, and at it if the object is not empty, the error has the status 416.
func (c *Client) Open(ctx context.Context, key string, offset int64) (*Reader, error) {
	tries := &backoff{first: c.first}
	r := &Reader{
		ask: func(offset int64, generation string) (*download, error) {
			return c.download(ctx, key, offset, generation)
		},
		pause:  func(err error) error { return tries.pause(ctx, err) },
		reset:  func() { tries.done = 0 },
		offset: offset,
		mark:   offset,
	}
	for r.from == nil {
		d, err := r.ask(offset, "")
		if err == nil {
			r.from, r.size, r.generation, r.want, r.summed = d, d.size, d.generation, d.sum, d.summed && offset == 0
		} else if err := r.pause(err); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Size is that of the whole object in bytes.
func (r *Reader) Size() int64 { return r.size }

// Close ends the reader.
func (r *Reader) Close() error {
	if r.from == nil {
		return nil
	}
	return r.from.Close()
}

// Read reads on. The error is io.EOF at the end of the object and nowhere else.
func (r *Reader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if r.offset == r.size {
			return 0, r.end()
		}
		if r.from == nil {
			if err := r.resume(); err != nil {
				return 0, err
			}
		}
		if n := r.read(p[:min(int64(len(p)), r.size-r.offset)]); n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// end is the error at the end of the object.
func (r *Reader) end() error {
	if r.summed && r.sum != r.want {
		return errChecksum
	}
	return io.EOF
}

// read reads of the connection, and drops it where it breaks.
func (r *Reader) read(p []byte) int {
	n, err := r.from.Read(p)
	r.offset += int64(n)
	if r.summed {
		r.sum = crc32.Update(r.sum, castagnoli, p[:n])
	}
	if r.offset-r.mark >= progressBytes {
		r.mark = r.offset
		r.reset()
	}
	if err != nil && r.offset < r.size {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.from.Close()
		r.from, r.cause = nil, lost(err)
	}
	return n
}

// resume opens the object where it broke off.
func (r *Reader) resume() error {
	for r.from == nil {
		if r.generation == "" { // of an emulator: nothing tells what comes now from what came
			return r.cause
		}
		if err := r.pause(r.cause); err != nil {
			return err
		}
		d, err := r.ask(r.offset, r.generation)
		if answer, ok := errors.AsType[*Error](err); ok && (answer.Status == http.StatusNotFound || answer.Status == http.StatusPreconditionFailed) {
			return errReplaced
		}
		switch {
		case err != nil:
			r.cause = err
		case d.generation != r.generation || d.size != r.size:
			d.Close()
			return errReplaced
		default:
			r.from = d
		}
	}
	return nil
}

// download asks for an object from the offset on, once.
func (c *Client) download(ctx context.Context, key string, offset int64, generation string) (*download, error) {
	query := url.Values{"alt": {"media"}}
	if generation != "" {
		query.Set("generation", generation)
	}
	// What is kept compressed comes as it is kept: only then its size is the object's, and its
	// parts can be asked for (https://cloud.google.com/storage/docs/transcoding).
	header := map[string]string{"Accept-Encoding": "gzip"}
	want := http.StatusOK
	if offset > 0 {
		want = http.StatusPartialContent
		header["Range"] = fmt.Sprintf("bytes=%d-", offset)
	}
	answer, err := c.send(ctx, request{method: http.MethodGet, url: c.object(key, query), header: header}, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return nil, err
	}
	d := &download{ReadCloser: answer.Body, generation: answer.Header.Get("X-Goog-Generation")}
	d.sum, d.summed = crc32c(answer.Header.Values("X-Goog-Hash"))
	if d.size, err = wholeSize(answer, offset); answer.StatusCode != want && err == nil {
		err = fmt.Errorf("the answer to a request for the bytes from %d on has the status %d: want %d", offset, answer.StatusCode, want)
	}
	if err != nil {
		answer.Body.Close()
		return nil, err
	}
	return d, nil
}

// wholeSize is the size of the whole object that an answer is about, in bytes. The error is that
// the answer does not begin at the offset, does not go on to the end, or is no object as it is kept.
func wholeSize(answer *http.Response, offset int64) (int64, error) {
	size := answer.ContentLength
	if answer.StatusCode == http.StatusPartialContent {
		text := answer.Header.Get("Content-Range")
		var first, last int64
		if n, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &size); n != 3 || err != nil || first != offset || last != size-1 || last < first {
			return 0, fmt.Errorf("the answer to a request for the bytes from %d on has the range %q", offset, shorten(text))
		}
	}
	if text := answer.Header.Get("X-Goog-Stored-Content-Length"); text != "" {
		if stored, err := strconv.ParseInt(text, 10, 64); err != nil || size >= 0 && stored != size {
			return 0, fmt.Errorf("the answer has %d bytes of an object that is kept as %q: something on the way changed it", size, shorten(text))
		} else if size < 0 {
			size = stored
		}
	}
	if size < 0 {
		return 0, errors.New("the answer does not tell the size of the object")
	}
	return size, nil
}

// crc32c finds the sum in what the header X-Goog-Hash says: crc32c=n03x6A==,md5=...
func crc32c(values []string) (sum uint32, ok bool) {
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		text, ok := strings.CutPrefix(strings.TrimSpace(part), "crc32c=")
		if !ok {
			continue
		}
		if data, err := base64.StdEncoding.DecodeString(text); err == nil && len(data) == 4 {
			return binary.BigEndian.Uint32(data), true
		}
	}
	return 0, false
}
