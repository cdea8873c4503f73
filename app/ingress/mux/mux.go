// Package mux splits one listener into two by what connections carry: gRPC, or HTTP of any
// version. net/http could serve gRPC as well, but its HTTP/2 takes three times as long for a
// small call as gRPC's own transport, which in turn serves nothing but gRPC.
//
// A connection is given away as a whole, by its first request: an HTTP/2 connection whose
// first request has a content type of gRPC, and one that sends no request for a while, are
// for gRPC. Callers that send both over one connection are not served right, and sidecars
// and clients do not.
//
// To see the first request of HTTP/2 the mux has to answer the greeting of its caller:
// clients of gRPC send nothing before they have the settings of the server. It sends empty
// settings, which bind nobody, and the server that gets the connection sends its own.
package mux

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// greetingPatience bounds the time that the first bytes of a connection may take.
	greetingPatience = 10 * time.Second
	// requestPatience is how long an HTTP/2 connection without a request is held before it
	// is taken for one of gRPC, whose clients connect before they have something to ask.
	requestPatience = 3 * time.Second
	// closingPatience bounds both once the listener is closed.
	closingPatience = 500 * time.Millisecond
)

// Mux splits a listener. It is made by [New] and served once by [Mux.Serve].
type Mux struct {
	listener net.Listener
	// GRPC and HTTP give the connections of each kind.
	grpc, http *part

	looking sync.WaitGroup
	mu      sync.Mutex
	// fresh are the connections that are being looked at.
	fresh   map[net.Conn]struct{}
	closing bool
}

// New makes a mux of a listener, which remains its owner's to close.
func New(listener net.Listener) *Mux {
	return &Mux{listener: listener, grpc: newPart(listener.Addr()), http: newPart(listener.Addr()), fresh: map[net.Conn]struct{}{}}
}

// GRPC gives the connections that carry gRPC.
func (m *Mux) GRPC() net.Listener { return m.grpc }

// HTTP gives all other connections.
func (m *Mux) HTTP() net.Listener { return m.http }

// Serve gives connections away until the listener is closed. Then it gives away those that
// it has accepted, closes both parts and returns the listener's error.
func (m *Mux) Serve() error {
	err := m.accept()
	m.hurry()
	m.looking.Wait()
	_ = m.grpc.Close()
	_ = m.http.Close()
	return err
}

func (m *Mux) accept() error {
	const most = time.Second
	for pause := time.Duration(0); ; {
		conn, err := m.listener.Accept()
		var temporary interface{ Temporary() bool }
		if errors.As(err, &temporary) && temporary.Temporary() && !errors.Is(err, net.ErrClosed) {
			// Too many open files, most likely: the next try may do.
			pause = min(max(2*pause, 5*time.Millisecond), most)
			time.Sleep(pause)
			continue
		}
		if err != nil {
			return err
		}
		pause = 0
		m.looking.Go(func() { m.give(conn) })
	}
}

// give looks at a connection and gives it away.
func (m *Mux) give(conn net.Conn) {
	m.limit(conn, greetingPatience)
	looked, kind := m.look(conn)
	m.forget(conn)
	if kind == nil || conn.SetDeadline(time.Time{}) != nil || !kind.offer(looked) {
		_ = conn.Close()
	}
}

// limit bounds the time that is left for looking at a connection.
func (m *Mux) limit(conn net.Conn, patience time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh[conn] = struct{}{}
	if m.closing {
		patience = min(patience, closingPatience)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
}

func (m *Mux) forget(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.fresh, conn)
}

// hurry bounds the time for the connections that are being looked at: a request that is
// under way is here soon.
func (m *Mux) hurry() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closing = true
	for conn := range m.fresh {
		_ = conn.SetDeadline(time.Now().Add(closingPatience))
	}
}

// part is a listener for one kind of connections.
type part struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newPart(addr net.Addr) *part {
	p := &part{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

// offer waits until somebody takes the connection; false says that nobody will.
func (p *part) offer(conn net.Conn) bool {
	select {
	case p.conns <- conn:
		return true
	case <-p.closed:
		return false
	}
}

// Accept implements net.Listener.
func (p *part) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The listener behind it stays open.
func (p *part) Close() error {
	p.close()
	return nil
}

// Addr implements net.Listener.
func (p *part) Addr() net.Addr { return p.addr }
