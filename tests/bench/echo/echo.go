// Package echo holds the servers that do nothing: they read a request and answer with
// bytes that were made before. They show what the wire alone costs in Go, as users would
// write it: net/http and grpc-go, nothing else.
package echo

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// HTTP serves answer at every path, once it has read the body.
func HTTP(address, contentType string, answer []byte) error {
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(answer) // a caller that left cannot be helped
	})
	return server.ListenAndServe()
}

// GRPC serves answer as the message of every method of a service.
func GRPC(address, service, method string, answer []byte) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(Codec{}))
	handler := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		return answer, nil
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: method, Handler: handler}},
	}, nil)
	return server.Serve(listener)
}

// Codec passes messages on as bytes.
type Codec struct{}

// Name is what content types call the codec.
func (Codec) Name() string { return "proto" }

// Marshal gives the bytes themselves.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("no bytes")
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Unmarshal copies the bytes, as every decoder must.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return errors.New("no bytes")
	}
	*b = data.Materialize()
	return nil
}
