package grpcapi

import (
	"cmp"
	"context"
	"io/fs"
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// filePrefix is before the name of a file among the parameters of a load request.
const filePrefix = "file:"

// RepositoryIndex lists every version, loaded or not.
func (v service) RepositoryIndex(_ context.Context, req *inferencepb.RepositoryIndexRequest) (*inferencepb.RepositoryIndexResponse, error) {
	if req.GetRepositoryName() != "" {
		return nil, namedRepository()
	}
	resp := &inferencepb.RepositoryIndexResponse{}
	for _, model := range v.s.parts.Models.Models() {
		for _, status := range model.Versions {
			if !req.GetReady() || status.Ready() {
				resp.Models = append(resp.Models, indexOf(status))
			}
		}
	}
	return resp, nil
}

// indexOf gives the state of a version in Triton's words.
func indexOf(s registry.Status) *inferencepb.RepositoryIndexResponse_ModelIndex {
	state, reason := s.RepositoryState()
	return &inferencepb.RepositoryIndexResponse_ModelIndex{
		Name: s.Ref.Name, Version: strconv.FormatInt(s.Ref.Version, 10), State: state, Reason: strings.ToValidUTF8(reason, "\uFFFD"),
	}
}

// RepositoryModelLoad loads a model, or loads it again. It answers when the model does.
func (v service) RepositoryModelLoad(ctx context.Context, req *inferencepb.RepositoryModelLoadRequest) (*inferencepb.RepositoryModelLoadResponse, error) {
	name, err := v.s.controlled(req)
	if err != nil {
		return nil, err
	}
	load, err := decodeLoad(name, req.GetParameters())
	if err != nil {
		return nil, err
	}
	if err := v.s.parts.Repository.Load(ctx, load); err != nil {
		return nil, err
	}
	return &inferencepb.RepositoryModelLoadResponse{ModelName: name, IsLoaded: true}, nil
}

// RepositoryModelUnload takes a model out of service. Models depend on no other, so
// unload_dependents changes nothing.
func (v service) RepositoryModelUnload(ctx context.Context, req *inferencepb.RepositoryModelUnloadRequest) (*inferencepb.RepositoryModelUnloadResponse, error) {
	name, err := v.s.controlled(req)
	if err != nil {
		return nil, err
	}
	if err := v.s.parts.Repository.Unload(ctx, name); err != nil {
		return nil, err
	}
	return &inferencepb.RepositoryModelUnloadResponse{ModelName: name, IsUnloaded: true}, nil
}

// controlled checks what both calls have in common and gives the name of their model.
// KServe's clients send it as field 1, which is the repository's name in Triton's protocol.
func (s *Server) controlled(req interface {
	GetRepositoryName() string
	GetModelName() string
},
) (string, error) {
	if s.parts.Repository == nil {
		return "", scoring.Errorf(scoring.Denied, "models are not loaded or unloaded on request here: set ONDA_MODEL_CONTROL=explicit to allow it")
	}
	if req.GetRepositoryName() != "" && req.GetModelName() != "" {
		return "", namedRepository()
	}
	name := cmp.Or(req.GetModelName(), req.GetRepositoryName())
	return name, scoring.CheckName("model name", name)
}

func namedRepository() error {
	return scoring.Errorf(scoring.Unimplemented, "naming a repository is not offered: there is one, leave repository_name empty")
}

// decodeLoad reads the parameters of a load request.
func decodeLoad(name string, parameters map[string]*inferencepb.ModelRepositoryParameter) (scoring.LoadRequest, error) {
	req := scoring.LoadRequest{Name: name}
	for parameter, value := range parameters {
		if err := loadParameter(&req, parameter, value); err != nil {
			return req, err
		}
	}
	if len(req.Files) > 0 && req.Config == "" {
		return req, scoring.Errorf(scoring.Invalid, "the request has files and no config: send the parameter config, too, because files replace the whole folder of the model")
	}
	return req, nil
}

func loadParameter(req *scoring.LoadRequest, name string, value *inferencepb.ModelRepositoryParameter) error {
	file, isFile := strings.CutPrefix(name, filePrefix)
	switch {
	case name == "config":
		text, ok := value.GetParameterChoice().(*inferencepb.ModelRepositoryParameter_StringParam)
		if !ok {
			return scoring.Errorf(scoring.Invalid, "parameter config: want the JSON of the model's configuration, as string_param")
		}
		req.Config = text.StringParam
		return nil
	case !isFile:
		return scoring.Errorf(scoring.Invalid, "unknown parameter %q: want config or file:VERSION/NAME", clip(name))
	}
	version, rest, _ := strings.Cut(file, "/")
	if _, err := scoring.ParseVersion(version); err != nil || !fs.ValidPath(rest) || rest == "." {
		return scoring.Errorf(scoring.Invalid, "parameter %q: want file:VERSION/NAME, such as file:1/model.onnx", clip(name))
	}
	data, ok := value.GetParameterChoice().(*inferencepb.ModelRepositoryParameter_BytesParam)
	if !ok {
		return scoring.Errorf(scoring.Invalid, "parameter %q: want the file's bytes, as bytes_param", clip(name))
	}
	if req.Files == nil {
		req.Files = map[string][]byte{}
	}
	req.Files[file] = data.BytesParam
	return nil
}
