package grpcapi

import (
	"context"
	"strconv"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// platform is what Triton calls ONNX models; clients compare it with nothing else.
const platform = "onnxruntime_onnx"

// service answers the calls of the Open Inference Protocol. It is apart from [Server] so
// that the calls are not part of the door's own methods.
type service struct {
	inferencepb.UnimplementedGRPCInferenceServiceServer
	s *Server
}

// ServerLive says that the process answers.
func (service) ServerLive(context.Context, *inferencepb.ServerLiveRequest) (*inferencepb.ServerLiveResponse, error) {
	return &inferencepb.ServerLiveResponse{Live: true}, nil
}

// ServerReady says whether the app takes work.
func (v service) ServerReady(context.Context, *inferencepb.ServerReadyRequest) (*inferencepb.ServerReadyResponse, error) {
	return &inferencepb.ServerReadyResponse{Ready: v.s.canWork()}, nil
}

// ModelReady says whether a version takes work. A model that does not exist is an error,
// as it is over HTTP: false would mean that waiting helps.
func (v service) ModelReady(_ context.Context, req *inferencepb.ModelReadyRequest) (*inferencepb.ModelReadyResponse, error) {
	ref, err := reference(req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	status, err := v.s.parts.Models.Status(ref)
	if err != nil {
		return nil, err
	}
	return &inferencepb.ModelReadyResponse{Ready: status.Ready() && !v.s.parts.Draining()}, nil
}

// ServerMetadata names the server. Extensions lists what is offered, and nothing else.
func (v service) ServerMetadata(context.Context, *inferencepb.ServerMetadataRequest) (*inferencepb.ServerMetadataResponse, error) {
	return &inferencepb.ServerMetadataResponse{Name: v.s.config.ServerName, Version: v.s.config.ServerVersion, Extensions: wire.Extensions}, nil
}

// available finds a version, which is loaded if it is not.
func (s *Server) available(ctx context.Context, name, version string) (registry.Status, error) {
	ref, err := reference(name, version)
	if err != nil {
		return registry.Status{}, err
	}
	status, err := s.parts.Models.Status(ref)
	if err == nil && status.State == registry.Cold {
		status, err = s.parts.Models.Wake(ctx, ref)
	}
	if err == nil && status.State != registry.Available {
		err = scoring.Errorf(scoring.Unavailable, "model %s is not ready: GET /v1/models/%s says why", status.Ref, ref.Name)
	}
	return status, err
}

// ModelMetadata gives a model's versions, inputs and outputs. Labels are not among the
// versions: clients take those for numbers.
func (v service) ModelMetadata(ctx context.Context, req *inferencepb.ModelMetadataRequest) (*inferencepb.ModelMetadataResponse, error) {
	status, err := v.s.available(ctx, req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	model, err := v.s.parts.Models.Model(req.GetName())
	if err != nil {
		return nil, err
	}
	signature := status.Version.Session.Signature()
	resp := &inferencepb.ModelMetadataResponse{
		Name: req.GetName(), Platform: platform, Inputs: specsOf(signature.Inputs), Outputs: specsOf(signature.Outputs),
	}
	for _, version := range model.Versions {
		resp.Versions = append(resp.Versions, strconv.FormatInt(version.Ref.Version, 10))
	}
	return resp, nil
}

// ModelConfig gives the configuration of a version.
func (v service) ModelConfig(ctx context.Context, req *inferencepb.ModelConfigRequest) (*inferencepb.ModelConfigResponse, error) {
	status, err := v.s.available(ctx, req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	return &inferencepb.ModelConfigResponse{Config: status.Version.Config}, nil
}

func specsOf(specs []scoring.TensorSpec) []*inferencepb.ModelMetadataResponse_TensorMetadata {
	all := make([]*inferencepb.ModelMetadataResponse_TensorMetadata, 0, len(specs))
	for _, spec := range specs {
		all = append(all, &inferencepb.ModelMetadataResponse_TensorMetadata{
			Name: spec.Name, Datatype: spec.Datatype.String(), Shape: spec.Shape,
		})
	}
	return all
}

// reference reads a model's name and version. In place of the version's number there may be
// a label, which is an extension of ours: what begins with a digit is always a number, so
// that no label is ever taken for a version. "" leaves the version to the label "live".
func reference(name, version string) (ref scoring.ModelRef, err error) {
	ref.Name = name
	if err := scoring.CheckName("model name", name); err != nil {
		return ref, err
	}
	switch {
	case version == "":
	case version[0] >= '0' && version[0] <= '9', version[0] == '-', version[0] == '+':
		ref.Version, err = scoring.ParseVersion(version)
	default:
		ref.Label = version
		err = scoring.CheckName("label", version)
	}
	return ref, err
}
