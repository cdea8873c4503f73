package grpcapi

import (
	"bytes"
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// The tests of this file are about places where clients of different servers disagree. They
// work on bytes: what one side calls a field is not what the other calls it.

// raw makes a call with a message and an answer of bytes.
func (f *fixture) raw(t *testing.T, method string, message []byte) ([]byte, error) {
	t.Helper()
	in, out := &emptypb.Empty{}, &emptypb.Empty{}
	in.ProtoReflect().SetUnknown(message)
	err := f.conn.Invoke(t.Context(), "/inference.GRPCInferenceService/"+method, in, out)
	return out.ProtoReflect().GetUnknown(), err
}

// fieldsIn lists the fields of a message with a length.
func fieldsIn(t *testing.T, message []byte) map[protowire.Number][]byte {
	t.Helper()
	all := map[protowire.Number][]byte{}
	if err := each(message, func(number protowire.Number, _ protowire.Type, value []byte) error {
		all[number] = value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestWireTrap1StreamMessage: the messages of ModelStreamInfer are Triton's, which have the
// answer in field 2 and an error in field 1, not bare answers as MLServer's.
func TestWireTrap1StreamMessage(t *testing.T) {
	t.Parallel()
	f := open(t, failing)
	stream := f.openStream(t)
	for _, id := range []string{"a", "bad"} {
		ask(t, stream, id)
		var got emptypb.Empty
		if err := stream.RecvMsg(&got); err != nil {
			t.Fatal(err)
		}
		fields := fieldsIn(t, got.ProtoReflect().GetUnknown())
		var answer inferencepb.ModelInferResponse
		if err := proto.Unmarshal(fields[2], &answer); err != nil || answer.GetId() != id {
			t.Errorf("field 2 is %v, %v, want the answer to %q", &answer, err, id)
		}
		if failed := len(fields[1]) > 0; failed != (id == "bad") {
			t.Errorf("%q has the error %q", id, fields[1])
		}
	}
}

// TestWireTrap2LoadFieldOne: KServe's clients name the model in field 1, where Triton's have
// the repository, and read its name and a mark of success in the answer, which is empty in
// Triton's.
func TestWireTrap2LoadFieldOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, call string
		message    []byte
		want       string
	}{
		{"Triton", "RepositoryModelLoad", fieldOf(2, []byte("iris")), "load iris"},
		{"KServe", "RepositoryModelLoad", fieldOf(1, []byte("iris")), "load iris"},
		{"Triton", "RepositoryModelUnload", fieldOf(2, []byte("iris")), "unload iris"},
		{"KServe", "RepositoryModelUnload", fieldOf(1, []byte("iris")), "unload iris"},
	} {
		t.Run(c.name+" "+c.call, func(t *testing.T) {
			t.Parallel()
			changes := &repository{}
			f := openWith(t, echo, func(p *Parts) { p.Repository = changes })
			got, err := f.raw(t, c.call, c.message)
			if err != nil {
				t.Fatal(err)
			}
			if changes.last() != c.want {
				t.Errorf("did %q, want %q", changes.last(), c.want)
			}
			fields := fieldsIn(t, got)
			if string(fields[1]) != "iris" || !bytes.Equal(fields[2], []byte{1}) {
				t.Errorf("the answer has the fields %q, want model_name=1 and isLoaded=2", fields)
			}
		})
	}
	// Both fields are a repository and a model in any case, and repositories have no names.
	f := openWith(t, echo, func(p *Parts) { p.Repository = &repository{} })
	_, err := f.raw(t, "RepositoryModelLoad", append(fieldOf(1, []byte("a")), fieldOf(2, []byte("b"))...))
	wantStatus(t, err, codes.Unimplemented, "repository_name")
}

// TestWireTrap3MetadataFieldSix: the Open Inference Protocol and MLServer have maps of
// different types in field 6 of a model's metadata. It stays empty.
func TestWireTrap3MetadataFieldSix(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	got, err := f.raw(t, "ModelMetadata", fieldOf(1, []byte("iris")))
	if err != nil {
		t.Fatal(err)
	}
	if fields := fieldsIn(t, got); fields[6] != nil || string(fields[1]) != "iris" {
		t.Errorf("got the fields %q, want none with number 6", fields)
	}
}

// TestWireTrap4ID: KServe's clients need an id in every answer. The engine makes one; the
// door must neither lose it nor insist on its own.
func TestWireTrap4ID(t *testing.T) {
	t.Parallel()
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		resp, err := echo(ctx, req)
		if req.ID == "" {
			resp.ID = "made"
		}
		return resp, err
	})
	for _, id := range []string{"", "mine"} {
		req := floats()
		req.Id = id
		resp, err := f.client.ModelInfer(t.Context(), req)
		if want := map[string]string{"": "made", "mine": "mine"}[id]; err != nil || resp.GetId() != want {
			t.Errorf("%q: got %q, %v, want %q", id, resp.GetId(), err, want)
		}
	}
}

// TestWireTrap6NotReady: what is not ready is UNAVAILABLE, which clients take as a reason to
// try again, and not INVALID_ARGUMENT.
func TestWireTrap6NotReady(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	_, err := f.client.ModelMetadata(t.Context(), &inferencepb.ModelMetadataRequest{Name: "iris", Version: "2"})
	wantStatus(t, err, codes.Unavailable, "not ready")
}

// TestWireTrap7Label: in place of a version there may be a label, and none is ever taken for
// a version.
func TestWireTrap7Label(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version string
		want    scoring.ModelRef
		code    scoring.Code
	}{
		{"", scoring.ModelRef{Name: "iris"}, 0},
		{"7", scoring.ModelRef{Name: "iris", Version: 7}, 0},
		{"canary", scoring.ModelRef{Name: "iris", Label: "canary"}, 0},
		{"live", scoring.ModelRef{Name: "iris", Label: "live"}, 0},
		{"v7", scoring.ModelRef{Name: "iris", Label: "v7"}, 0},
		{"0", scoring.ModelRef{}, scoring.Invalid},
		{"07", scoring.ModelRef{}, scoring.Invalid},
		{"7a", scoring.ModelRef{}, scoring.Invalid},
		{"-1", scoring.ModelRef{}, scoring.Invalid},
		{"+7", scoring.ModelRef{}, scoring.Invalid},
		{"7.0", scoring.ModelRef{}, scoring.Invalid},
		{"99999999999999999999", scoring.ModelRef{}, scoring.Invalid},
		{"a b", scoring.ModelRef{}, scoring.Invalid},
	} {
		got, err := reference("iris", c.version)
		if scoring.CodeOf(err) != c.code || err == nil && got != c.want {
			t.Errorf("%q: got %+v, %v, want %+v, %v", c.version, got, err, c.want, c.code)
		}
	}
	f := open(t, echo)
	_, err := f.client.ModelMetadata(t.Context(), &inferencepb.ModelMetadataRequest{Name: "iris", Version: "canary"})
	wantStatus(t, err, codes.Unavailable, "iris@2")
}

// TestWireTrap8ServerName: Triton's own examples want the server to be called triton.
func TestWireTrap8ServerName(t *testing.T) {
	t.Parallel()
	f := open(t, echo, func(c *Config) { c.ServerName = "triton" })
	got, err := f.client.ServerMetadata(t.Context(), &inferencepb.ServerMetadataRequest{})
	if err != nil || got.GetName() != "triton" || len(got.GetExtensions()) == 0 {
		t.Errorf("got %v, %v", got, err)
	}
}
