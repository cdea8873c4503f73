package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/onda-serving/onda/app/ingress/grpcapi"
	"github.com/onda-serving/onda/app/ingress/mux"
)

// doors are the servers behind the one listener.
type doors struct {
	mux *mux.Mux
	web *http.Server
	rpc *grpcapi.Server
	// given is closed when the listener is, and every connection has its server.
	given chan struct{}
}

func newDoors(listener net.Listener, web *http.Server, rpc *grpcapi.Server) *doors {
	return &doors{mux: mux.New(listener), web: web, rpc: rpc, given: make(chan struct{})}
}

// serve starts the servers in group.
func (d *doors) serve(group *errgroup.Group) {
	group.Go(func() error {
		defer close(d.given)
		return served(d.mux.GRPC(), d.mux.Serve())
	})
	group.Go(func() error { return serve(d.web, d.mux.HTTP()) })
	group.Go(func() error { return served(d.mux.GRPC(), d.rpc.Serve(d.mux.GRPC())) })
}

// shutdown waits for the requests in flight and closes all connections. The listener must
// be closed before.
func (d *doors) shutdown(ctx context.Context) error {
	// A server that stops takes no more connections, and the mux may still have some.
	select {
	case <-d.given:
	case <-ctx.Done():
	}
	rpc := make(chan error, 1)
	go func() { rpc <- d.rpc.Shutdown(ctx) }()
	err := d.web.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, d.web.Close())
	}
	return errors.Join(err, <-rpc)
}

// serve is http.Server.Serve without the errors that mean that all is well.
func serve(server *http.Server, listener net.Listener) error {
	return served(listener, server.Serve(listener))
}

// served drops the errors of serving that mean that all is well.
func served(listener net.Listener, err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", listener.Addr(), err)
}
