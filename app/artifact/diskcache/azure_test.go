package diskcache_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/blobs/blobstest"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// proxy stands in front of a server and cuts connections.
type proxy struct {
	listener net.Listener
	server   string
	after    int64 // bytes from the server that a connection gets before it is cut; 0 cuts none
	bytes    atomic.Int64
	cuts     atomic.Int64
	done     chan struct{} // closed at the end: connections are kept open for the next request
	running  sync.WaitGroup
}

func newProxy(t *testing.T, server string, after int64) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, after: after, done: make(chan struct{})}
	p.running.Go(p.serve)
	t.Cleanup(func() {
		listener.Close()
		close(p.done)
		p.running.Wait()
	})
	return p
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.relay(client) })
	}
}

func (p *proxy) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	over := make(chan struct{})
	defer close(over)
	p.running.Go(func() {
		select {
		case <-p.done:
		case <-over:
		}
		client.Close()
		server.Close()
	})
	p.running.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	var r io.Reader = server
	if p.after > 0 {
		r = io.LimitReader(server, p.after)
	}
	n, _ := io.Copy(client, r)
	p.bytes.Add(n)
	if p.after > 0 && n == p.after {
		p.cuts.Add(1)
		client.(*net.TCPConn).SetLinger(0) // a reset, and not an orderly end
	}
	server.Close()
}

// inAzure puts the files of a version into a container and gives its document.
func inAzure(t *testing.T, azurite *blobstest.Azurite, place string, f files) catalog.Version {
	t.Helper()
	container, _, _ := strings.Cut(place, "/")
	azurite.Container(t, container)
	store, err := blobs.OpenStore(t.Context(), azurite.URL(place))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	v := f.version(1)
	for name, file := range v.Files {
		if err := store.Put(t.Context(), file.SHA256, file.Size, strings.NewReader(f[name])); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// from opens the version's files in a store behind an address.
func from(address, place string, v catalog.Version) func(context.Context) (blobs.Source, error) {
	return func(ctx context.Context) (blobs.Source, error) {
		store, err := blobs.OpenStore(ctx, blobstest.URL(address, place))
		if err != nil {
			return nil, err
		}
		return store.Source(v.Files), nil
	}
}

// A connection that is cut again and again costs no byte twice, but for what was under way.
func TestAzureResume(t *testing.T) {
	t.Parallel()
	azurite := blobstest.Shared(t)
	f := files{"model.onnx": string(random(1, 20<<20)), "labels.txt": "a\nb\n"}
	v := inAzure(t, azurite, "cache/resume", f)
	p := newProxy(t, azurite.Address, 3<<20)
	ref, release, err := open(t, t.TempDir(), 0).Fetch(t.Context(), "faq", v, from(p.listener.Addr().String(), "cache/resume", v), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	wantFiles(t, ref, f)
	if got := p.bytes.Load(); got > 2*20<<20 {
		t.Errorf("%d bytes came for 20 MiB: it was not resumed", got)
	}
	if p.cuts.Load() < 5 {
		t.Errorf("the connection was cut %d times: this did not test much", p.cuts.Load())
	}
	t.Logf("%d bytes for %d, %d cuts", p.bytes.Load(), v.Files["model.onnx"].Size, p.cuts.Load())
}

func TestAzureRefuses(t *testing.T) {
	t.Parallel()
	azurite := blobstest.Shared(t)
	f := files{"model.onnx": "model", "labels.txt": "a\nb\n"}
	inAzure(t, azurite, "cache/refuses", f)
	c := open(t, t.TempDir(), 0)

	// A folder, as it would be registered by its location, whose file was changed since.
	other := sumOf([]byte("another model"))
	sum := sumOf([]byte("model"))
	v := catalog.Version{Version: 1, Files: map[string]catalog.File{sum: {SHA256: other, Size: 5}}}
	location := func(ctx context.Context) (blobs.Source, error) {
		return blobs.Open(ctx, "azblob://cache/refuses/sha256/"+sum[:2], blobs.Allow{azurite.URL("cache")})
	}
	_, _, err := c.Fetch(t.Context(), "faq", v, location, nil)
	refused(t, err, scoring.Invalid, `file "`+sum+`": the SHA-256 of what was fetched is `+sum+", the version says "+other)

	v.Files = map[string]catalog.File{"model.onnx": {SHA256: sum, Size: 5}}
	_, _, err = c.Fetch(t.Context(), "faq", v, location, nil)
	refused(t, err, scoring.NotFound, "azblob://cache/refuses/sha256/"+sum[:2]+": file model.onnx: not found")
}

// A server that is not there gives an error that asks for another try, within the time given.
func TestAzureUnreachable(t *testing.T) {
	t.Parallel()
	azurite := blobstest.Shared(t)
	v := files{"model.onnx": "model"}.version(1)
	p := newProxy(t, azurite.Address, 0)
	p.listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, _, err := open(t, t.TempDir(), 0).Fetch(ctx, "faq", v, from(p.listener.Addr().String(), "cache", v), nil)
	refused(t, err, scoring.Unavailable, `file "model.onnx": the time given ended at byte 0 of 5`)
	if err == nil || !strings.Contains(err.Error(), "artifact store: file model.onnx: the storage did not answer within the time given") {
		t.Errorf("got %v, want the cause", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// Two processes with one folder, and one store: one download.
func TestAzureTwoCaches(t *testing.T) {
	t.Parallel()
	azurite := blobstest.Shared(t)
	f := files{"model.onnx": string(random(2, 5<<20))}
	v := inAzure(t, azurite, "cache/two", f)
	p, dir := newProxy(t, azurite.Address, 0), t.TempDir()
	var all sync.WaitGroup
	for range 2 {
		c := open(t, dir, 0)
		all.Go(func() {
			ref, release, err := c.Fetch(t.Context(), "faq", v, from(p.listener.Addr().String(), "cache/two", v), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			wantFiles(t, ref, f)
		})
	}
	all.Wait()
	if got := p.bytes.Load(); got > 6<<20 {
		t.Errorf("%d bytes came for 5 MiB, want one download", got)
	}
}
