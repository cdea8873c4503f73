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
	"time"
)

const (
	// chunkBytes is how much is sent at once, and held in memory so that it can be sent again:
	// what Google recommends at least, and a multiple of the 256 KiB that are asked for.
	chunkBytes = 8 << 20
	// parting bounds how long the end of an upload that failed is told.
	parting = 5 * time.Second
)

var (
	errSession = errors.New("the upload has to begin anew: Google does not know it any more")
	errAhead   = errors.New("the upload got out of step with what Google has of it")
)

// Write makes the object of what r has, once that ended: what fails, or whose reader fails, is
// not there for anybody. It is sent in parts, of which those that break off are sent again
// (https://cloud.google.com/storage/docs/performing-resumable-uploads), and Google checks the
// CRC32C of the whole.
func (c *Client) Write(ctx context.Context, key string, r io.Reader) error {
	session, err := c.begin(ctx, key)
	if err != nil {
		return err
	}
	u := &upload{client: c, session: session}
	if err := u.copy(ctx, r); err != nil {
		u.abandon(ctx)
		return err
	}
	return nil
}

// upload is one that was begun.
type upload struct {
	client  *Client
	session string // a URL that is the right to write the object, too
	offset  int64  // of the chunk in hand
	have    int64  // how much Google has, as far as is known
	sum     uint32 // of all up to the end of the chunk
}

// begin gives the URL of a new upload.
func (c *Client) begin(ctx context.Context, key string) (session string, err error) {
	query := url.Values{"uploadType": {"resumable"}, "name": {key}, "fields": {"size"}}
	start := request{
		method: http.MethodPost, url: c.objects("/upload", query),
		header: map[string]string{"X-Upload-Content-Type": "application/octet-stream"},
	}
	err = c.retry(ctx, func() error {
		answer, err := c.send(ctx, start, http.StatusOK, http.StatusCreated)
		if err != nil {
			return err
		}
		answer.Body.Close()
		session = answer.Header.Get("Location")
		return nil
	})
	if u, parseErr := url.Parse(session); err == nil && (parseErr != nil || u.Host == "" || !strings.HasPrefix(c.base, u.Scheme+"://")) {
		err = errors.New("the answer to the begin of an upload does not say where it goes on")
	}
	return session, err
}

// copy sends what r has.
func (u *upload) copy(ctx context.Context, r io.Reader) error {
	chunk := make([]byte, chunkBytes)
	for {
		n, err := fill(r, chunk)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		u.sum = crc32.Update(u.sum, castagnoli, chunk[:n])
		if err := u.send(ctx, chunk[:n], last); err != nil || last {
			return err
		}
		u.offset += int64(n)
	}
}

// fill reads until p is full. Unlike io.ReadFull it keeps an error that comes with the last bytes.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// send sends a chunk until Google has it; after the last one, until the object is there.
func (u *upload) send(ctx context.Context, chunk []byte, last bool) error {
	tries, doubt := backoff{first: u.client.first}, false
	for end := u.offset + int64(len(chunk)); ; {
		before := u.have
		done, err := u.step(ctx, chunk, last, doubt)
		switch {
		case err == nil && done && last:
			return nil
		case err == nil && (done || u.have < u.offset || u.have > end):
			return errAhead
		case err == nil && u.have == end && !last:
			return nil
		case err == nil && (u.have > before || doubt):
			doubt = false
			continue
		case err == nil:
			err = broken{errors.New("nothing was taken of what was sent")}
		default:
			doubt = true // how much of it arrived
		}
		if err := tries.pause(ctx, err); err != nil {
			return err
		}
	}
}

// step sends what Google has not of a chunk, or asks how much that is. done is that the object
// is there.
func (u *upload) step(ctx context.Context, chunk []byte, last, ask bool) (done bool, err error) {
	r := request{method: http.MethodPut, url: u.session, bare: true, header: map[string]string{"Content-Range": "bytes */*"}}
	if !ask {
		r.body = chunk[u.have-u.offset:]
		r.header["Content-Range"] = contentRange(u.have, int64(len(r.body)), last)
		if last {
			r.header["X-Goog-Hash"] = "crc32c=" + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, u.sum))
		}
	}
	answer, err := u.client.send(ctx, r, http.StatusOK, http.StatusCreated, http.StatusPermanentRedirect)
	if status, ok := errors.AsType[*Error](err); ok && (status.Status == http.StatusNotFound || status.Status == http.StatusGone) {
		return false, errSession
	}
	if err != nil {
		return false, err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusPermanentRedirect {
		return true, nil
	}
	u.have, err = persisted(answer.Header.Get("Range"))
	return false, err
}

// contentRange says which part of the object it is that is sent.
func contentRange(first, size int64, last bool) string {
	total := "*"
	if last {
		total = strconv.FormatInt(first+size, 10)
	}
	if size == 0 {
		return "bytes */" + total
	}
	return fmt.Sprintf("bytes %d-%d/%s", first, first+size-1, total)
}

// persisted reads how many bytes Google has of an upload: the header is missing where it has none.
func persisted(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	var end int64
	if n, err := fmt.Sscanf(text, "bytes=0-%d", &end); n != 1 || err != nil || end < 0 {
		return 0, fmt.Errorf("the answer about an upload has the range %q: want bytes=0-NUMBER", shorten(text))
	}
	return end + 1, nil
}

// abandon tells Google that nothing more comes; what it has is not there for anybody. Where
// this fails Google forgets the upload after a week.
func (u *upload) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancel()
	answer, err := u.client.send(ctx, request{method: http.MethodDelete, url: u.session, bare: true}, http.StatusNoContent, 499)
	if err == nil {
		answer.Body.Close()
	}
}
