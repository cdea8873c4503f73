package portal

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

var errBodyClosed = errors.New("read from a closed request body")

// replay lets a request body be sent more than once although it is read from
// the network only once. The first try streams: what it reads goes out at once
// and is kept. A later try begins with what is kept and goes on with the rest.
//
// It keeps as much as src yields, so src has to be bounded. It is safe for
// concurrent use, and has to be: an http.Transport may still read for a try
// that has already been answered while the next one begins. Such a late read
// loses nothing, since its bytes are kept as well.
type replay struct {
	src io.Reader

	mu   sync.Mutex
	kept []byte // all bytes read from src so far
	err  error  // how src ended, once it has
}

// open returns the whole body from its first byte.
func (b *replay) open() io.ReadCloser {
	return &replayReader{body: b}
}

// read copies into p what follows the first off bytes of the body.
func (b *replay) read(p []byte, off int) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if off < len(b.kept) {
		return copy(p, b.kept[off:]), nil
	}
	if b.err != nil {
		return 0, b.err
	}

	n, err := b.src.Read(p)
	b.kept = append(b.kept, p[:n]...)
	b.err = err

	return n, err //nolint:wrapcheck // io.EOF and *http.MaxBytesError must arrive as they are
}

// replayReader is one try's view of the body.
type replayReader struct {
	body   *replay
	off    int
	closed atomic.Bool
}

// Read implements io.Reader.
func (r *replayReader) Read(p []byte) (int, error) {
	if r.closed.Load() {
		return 0, errBodyClosed
	}
	n, err := r.body.read(p, r.off)
	r.off += n

	return n, err
}

// Close ends this try only; the body stays, for the next one.
func (r *replayReader) Close() error {
	r.closed.Store(true)

	return nil
}
