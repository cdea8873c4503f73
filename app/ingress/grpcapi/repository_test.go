package grpcapi

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// repository notes what it is asked for.
type repository struct {
	mu   sync.Mutex
	did  string
	load scoring.LoadRequest
	err  error
}

func (r *repository) Load(_ context.Context, req scoring.LoadRequest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did, r.load = "load "+req.Name, req
	return r.err
}

func (r *repository) Unload(_ context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did = "unload " + name
	return r.err
}

func (r *repository) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.did
}

type (
	loadRequest = inferencepb.RepositoryModelLoadRequest
	loadParams  = map[string]*inferencepb.ModelRepositoryParameter
)

func configParam(s string) *inferencepb.ModelRepositoryParameter {
	return &inferencepb.ModelRepositoryParameter{ParameterChoice: &inferencepb.ModelRepositoryParameter_StringParam{StringParam: s}}
}

func fileParam(b []byte) *inferencepb.ModelRepositoryParameter {
	return &inferencepb.ModelRepositoryParameter{ParameterChoice: &inferencepb.ModelRepositoryParameter_BytesParam{BytesParam: b}}
}

// TestLoadWithFiles: a model can come with the call, and may be as large as any message.
func TestLoadWithFiles(t *testing.T) {
	t.Parallel()
	changes := &repository{}
	f := openWith(t, echo, func(p *Parts) { p.Repository = changes })
	model := bytes.Repeat([]byte("model"), 100_000)
	_, err := f.client.RepositoryModelLoad(t.Context(), &loadRequest{ModelName: "iris", Parameters: loadParams{
		"config": configParam(`{"name":"iris"}`), "file:1/model.onnx": fileParam(model), "file:1/a/b.txt": fileParam(nil),
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := changes.load
	if got.Name != "iris" || got.Config != `{"name":"iris"}` || len(got.Files) != 2 || !bytes.Equal(got.Files["1/model.onnx"], model) {
		t.Errorf("got %s, %s and %d files", got.Name, got.Config, len(got.Files))
	}
	f.booked(t, 0)
}

func TestRepositoryRefuses(t *testing.T) {
	t.Parallel()
	f := openWith(t, echo, func(p *Parts) {
		p.Repository = &repository{err: scoring.Errorf(scoring.Invalid, "failed to load 'iris'")}
	})
	for _, c := range []struct {
		name  string
		req   *loadRequest
		code  codes.Code
		parts []string
	}{
		{"no model", &loadRequest{}, codes.InvalidArgument, []string{"model name is empty"}},
		{"bad name", &loadRequest{ModelName: "../iris"}, codes.InvalidArgument, []string{`"../iris"`}},
		{"named repository", &loadRequest{RepositoryName: "r", ModelName: "iris"}, codes.Unimplemented, []string{"naming a repository is not offered"}},
		{"config as bytes", &loadRequest{ModelName: "iris", Parameters: loadParams{"config": fileParam([]byte("{}"))}}, codes.InvalidArgument, []string{"config", "string_param"}},
		{"file as text", &loadRequest{ModelName: "iris", Parameters: loadParams{"file:1/model.onnx": configParam("x")}}, codes.InvalidArgument, []string{"file:1/model.onnx", "bytes_param"}},
		{"file without config", &loadRequest{ModelName: "iris", Parameters: loadParams{"file:1/model.onnx": fileParam(nil)}}, codes.InvalidArgument, []string{"config"}},
		{"file without version", &loadRequest{ModelName: "iris", Parameters: loadParams{"file:model.onnx": fileParam(nil)}}, codes.InvalidArgument, []string{"file:VERSION/NAME"}},
		{"file outside", &loadRequest{ModelName: "iris", Parameters: loadParams{"file:1/../../x": fileParam(nil)}}, codes.InvalidArgument, []string{"file:VERSION/NAME"}},
		{"no file", &loadRequest{ModelName: "iris", Parameters: loadParams{"file:1/": fileParam(nil)}}, codes.InvalidArgument, []string{"file:VERSION/NAME"}},
		{"unknown parameter", &loadRequest{ModelName: "iris", Parameters: loadParams{"x": fileParam(nil)}}, codes.InvalidArgument, []string{`"x"`, "config or file"}},
		{"what cannot be loaded", &loadRequest{ModelName: "iris"}, codes.InvalidArgument, []string{"failed to load"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.client.RepositoryModelLoad(t.Context(), c.req)
			wantStatus(t, err, c.code, c.parts...)
		})
	}
	_, err := f.client.RepositoryModelUnload(t.Context(), &inferencepb.RepositoryModelUnloadRequest{ModelName: "iris"})
	wantStatus(t, err, codes.InvalidArgument, "failed to load")
}

// TestRepositoryDenied: nobody may change the models unless the setting says so.
func TestRepositoryDenied(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	_, err := f.client.RepositoryModelLoad(t.Context(), &loadRequest{ModelName: "iris"})
	wantStatus(t, err, codes.PermissionDenied, "ONDA_MODEL_CONTROL=explicit")
	_, err = f.client.RepositoryModelUnload(t.Context(), &inferencepb.RepositoryModelUnloadRequest{ModelName: "iris"})
	wantStatus(t, err, codes.PermissionDenied, "ONDA_MODEL_CONTROL=explicit")
}

func TestRepositoryIndex(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	for _, c := range []struct {
		name, req, want string
	}{
		{"all", "", `
			models {name: "iris" version: "1" state: "READY"}
			models {name: "iris" version: "2" state: "LOADING"}
			models {name: "rose" version: "1" state: "UNAVAILABLE" reason: "no such file"}
			models {name: "rose" version: "2" state: "UNAVAILABLE" reason: "unloaded"}`},
		{"ready", "ready: true", `models {name: "iris" version: "1" state: "READY"}`},
	} {
		req, want := &inferencepb.RepositoryIndexRequest{}, &inferencepb.RepositoryIndexResponse{}
		text(t, c.req, req)
		text(t, c.want, want)
		if got, err := f.client.RepositoryIndex(t.Context(), req); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, got, err, want)
		}
	}
	_, err := f.client.RepositoryIndex(t.Context(), &inferencepb.RepositoryIndexRequest{RepositoryName: "r"})
	wantStatus(t, err, codes.Unimplemented, "naming a repository is not offered")
}

// text reads a message in the text format.
func text(t *testing.T, from string, into proto.Message) {
	t.Helper()
	if err := prototext.Unmarshal([]byte(from), into); err != nil {
		t.Fatal(err)
	}
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	want := &inferencepb.ModelStatisticsResponse{}
	text(t, `model_stats {
		name: "iris" version: "1" last_inference: 1700000000123 inference_count: 12 execution_count: 3
		inference_stats {
			success {count: 1 ns: 1000} fail {count: 2 ns: 2000} queue {count: 3 ns: 3000}
			compute_input {count: 4 ns: 4000} compute_infer {count: 5 ns: 5000} compute_output {count: 6 ns: 6000}
			cache_hit {count: 7 ns: 7000} cache_miss {count: 8 ns: 8000}
		}
		batch_stats {
			batch_size: 4 compute_input {count: 10 ns: 10000} compute_infer {count: 11 ns: 11000} compute_output {count: 12 ns: 12000}
		}
		memory_usage {type: "CPU" byte_size: 9}
	}`, want)
	for _, c := range []struct{ name, version string }{{"", ""}, {"iris", ""}, {"iris", "1"}, {"iris", "live"}} {
		got, err := f.client.ModelStatistics(t.Context(), &inferencepb.ModelStatisticsRequest{Name: c.name, Version: c.version})
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%q %q: got %v, %v, want %v", c.name, c.version, got, err, want)
		}
	}
	for _, c := range []struct {
		name, version string
		code          codes.Code
	}{{"lily", "", codes.NotFound}, {"iris", "9", codes.NotFound}, {"iris", "2", codes.Unavailable}, {"", "1", codes.InvalidArgument}, {"../a", "", codes.InvalidArgument}} {
		_, err := f.client.ModelStatistics(t.Context(), &inferencepb.ModelStatisticsRequest{Name: c.name, Version: c.version})
		wantStatus(t, err, c.code)
	}
}

func TestModelConfig(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	got, err := f.client.ModelConfig(t.Context(), &inferencepb.ModelConfigRequest{Name: "iris"})
	if err != nil || got.GetConfig().GetName() != "iris" || got.GetConfig().GetMaxBatchSize() != 8 {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = f.client.ModelConfig(t.Context(), &inferencepb.ModelConfigRequest{Name: "iris", Version: "2"})
	wantStatus(t, err, codes.Unavailable, "not ready")
}

// TestNotOffered: calls that are not offered say so and why.
func TestNotOffered(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	for call, part := range map[string]string{
		"SystemSharedMemoryRegister": "shared memory", "SystemSharedMemoryUnregister": "shared memory",
		"CudaSharedMemoryRegister": "shared memory", "CudaSharedMemoryUnregister": "shared memory",
		"TraceSetting": "trace", "LogSettings": "log",
	} {
		_, err := f.raw(t, call, nil)
		wantStatus(t, err, codes.Unimplemented, part, "not offered")
	}
	for _, call := range []string{"SystemSharedMemoryStatus", "CudaSharedMemoryStatus"} {
		if got, err := f.raw(t, call, nil); err != nil || len(got) != 0 {
			t.Errorf("%s: got %q, %v, want no regions", call, got, err)
		}
		_, err := f.raw(t, call, fieldOf(1, []byte("region")))
		wantStatus(t, err, codes.NotFound, `"region"`, "not offered")
	}
}

// FuzzLoad: whatever the parameters of a load request are, they end in files that stay in
// the model's folder, or in an error for the caller.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"config", "file:1/model.onnx", "file:1/../x", "file:"} {
		data, err := proto.Marshal(&loadRequest{ModelName: "iris", Parameters: loadParams{name: fileParam([]byte("x")), "config": configParam("{}")}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var message loadRequest
		if unmarshal(data, &message) != nil {
			return
		}
		req, err := decodeLoad(message.GetModelName(), message.GetParameters())
		if err != nil {
			if code := scoring.CodeOf(err); code != scoring.Invalid {
				t.Fatalf("got %v", err)
			}
			return
		}
		for name := range req.Files {
			if strings.Contains("/"+name+"/", "/../") || name == "" || name[0] == '/' {
				t.Fatalf("file %q", name)
			}
		}
	})
}
