package lifecycle

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// listener is a TCP listener that can be closed without resetting anybody. To close one
// the ordinary way makes the kernel reset connections that callers have made and the
// program has not accepted yet: requests that look lost, not refused.
type listener struct {
	*net.TCPListener

	draining atomic.Bool
	// closed is closed when the drained listener is.
	closed chan struct{}
}

// listen opens address; setting names where it came from.
func listen(setting, address string) (*listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s=%s: the port is in use by another process: stop it, or set another address", setting, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", setting, address, err)
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s=%s: want a TCP address", setting, address), l.Close())
	}
	return &listener{TCPListener: tcp, closed: make(chan struct{})}, nil
}

// drainPause is how long no connection must have come in before the listener closes.
const drainPause = 2 * time.Millisecond

// Drain has what is connected already accepted and closes the listener. It returns when
// callers are refused, and can tell that nothing of theirs was begun, or when patience
// is over: without a pause between callers there is no good moment.
func (l *listener) Drain(patience time.Duration) error {
	l.draining.Store(true)
	if err := l.SetDeadline(time.Now().Add(drainPause)); err != nil {
		return err
	}
	select {
	case <-l.closed:
		return nil
	case <-time.After(patience):
		return l.Close()
	}
}

// Accept implements net.Listener. After [listener.Drain] it ends with net.ErrClosed once
// nobody waits to be accepted.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if !l.draining.Load() {
		return conn, err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.Join(net.ErrClosed, l.Close())
		close(l.closed)
		return nil, err
	}
	if err == nil {
		err = l.SetDeadline(time.Now().Add(drainPause))
	}
	return conn, err
}
