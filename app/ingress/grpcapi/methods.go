package grpcapi

import (
	"strings"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// smallMessage bounds the messages of all calls that carry neither tensors nor files: they
// hold names.
const smallMessage = 64 << 10

// method is what the door knows of a call before it runs.
type method struct {
	// name is that of the call, without its service.
	name string
	// operation is its name in metrics: the same as for the paths of the HTTP door that do
	// the same.
	operation string
	// large says that its messages may be as large as any.
	large bool
	// endless says that it has no budget as a whole and ends when its caller likes.
	endless bool
	// open says that it needs no token: Dapr, Kubernetes and clients of the protocol probe
	// the health of the server without one.
	open bool
	// silent says that it has no place in metrics and log.
	silent bool
}

// setting names the setting that bounds the method's messages, for an error.
func (m *method) setting() string {
	if m.large {
		return " (ONDA_MAX_BODY)"
	}
	return " for this call"
}

// methods are the calls that the door answers, by their full names.
var methods = named(map[string]*method{
	inferencepb.GRPCInferenceService_ServerLive_FullMethodName:                   {operation: "health", open: true},
	inferencepb.GRPCInferenceService_ServerReady_FullMethodName:                  {operation: "health", open: true},
	inferencepb.GRPCInferenceService_ModelReady_FullMethodName:                   {operation: "health"},
	inferencepb.GRPCInferenceService_ServerMetadata_FullMethodName:               {operation: "metadata"},
	inferencepb.GRPCInferenceService_ModelMetadata_FullMethodName:                {operation: "metadata"},
	inferencepb.GRPCInferenceService_ModelInfer_FullMethodName:                   {operation: "infer", large: true},
	inferencepb.GRPCInferenceService_ModelStreamInfer_FullMethodName:             {operation: "infer", large: true, endless: true, silent: true},
	inferencepb.GRPCInferenceService_ModelConfig_FullMethodName:                  {operation: "metadata"},
	inferencepb.GRPCInferenceService_ModelStatistics_FullMethodName:              {operation: "statistics"},
	inferencepb.GRPCInferenceService_RepositoryIndex_FullMethodName:              {operation: "repository"},
	inferencepb.GRPCInferenceService_RepositoryModelLoad_FullMethodName:          {operation: "repository", large: true},
	inferencepb.GRPCInferenceService_RepositoryModelUnload_FullMethodName:        {operation: "repository"},
	inferencepb.GRPCInferenceService_SystemSharedMemoryStatus_FullMethodName:     {operation: "shared_memory"},
	inferencepb.GRPCInferenceService_SystemSharedMemoryRegister_FullMethodName:   {operation: "shared_memory"},
	inferencepb.GRPCInferenceService_SystemSharedMemoryUnregister_FullMethodName: {operation: "shared_memory"},
	inferencepb.GRPCInferenceService_CudaSharedMemoryStatus_FullMethodName:       {operation: "shared_memory"},
	inferencepb.GRPCInferenceService_CudaSharedMemoryRegister_FullMethodName:     {operation: "shared_memory"},
	inferencepb.GRPCInferenceService_CudaSharedMemoryUnregister_FullMethodName:   {operation: "shared_memory"},
	inferencepb.GRPCInferenceService_TraceSetting_FullMethodName:                 {operation: "trace"},
	inferencepb.GRPCInferenceService_LogSettings_FullMethodName:                  {operation: "logging"},
	healthpb.Health_Check_FullMethodName:                                         {operation: "health", open: true},
	healthpb.Health_List_FullMethodName:                                          {operation: "health", open: true},
	healthpb.Health_Watch_FullMethodName:                                         {operation: "health", open: true, endless: true, silent: true},
})

func named(all map[string]*method) map[string]*method {
	for full, m := range all {
		m.name = full[strings.LastIndexByte(full, '/')+1:]
	}
	return all
}

// methodOf finds what is known about a call; a call that the door does not answer is known
// by its full name.
func methodOf(full string) *method {
	if m, ok := methods[full]; ok {
		return m
	}
	return &method{name: full, operation: "unknown"}
}

// limit is how large a message of a call may be.
func (s *Server) limit(m *method) int64 {
	if m.large {
		return s.config.MaxBody
	}
	return min(smallMessage, s.config.MaxBody)
}

func (s *Server) tooLarge(m *method, size int64) *scoring.Error {
	return scoring.Errorf(scoring.TooLarge, "the message is too large: at most %d bytes are allowed%s, got %d", s.limit(m), m.setting(), size)
}

// streamed makes calls of a service streams in gRPC's eyes, which is the same on the wire:
// it reads the message of a call with one message before anybody can bound the wait for it,
// and answers by itself what it cannot read.
//
// own are handlers for calls that are not handled as usual, and for streams.
func (s *Server) streamed(desc grpc.ServiceDesc, own map[string]handler) *grpc.ServiceDesc {
	var all []grpc.StreamDesc
	add := func(name string, usual handler) {
		if special, ok := own[name]; ok {
			usual = special
		}
		all = append(all, grpc.StreamDesc{StreamName: name, Handler: s.handle(usual), ServerStreams: true, ClientStreams: true})
	}
	for _, m := range desc.Methods {
		add(m.MethodName, s.unary(m))
	}
	for _, m := range desc.Streams {
		add(m.StreamName, s.unknown)
	}
	desc.Methods, desc.Streams = nil, all
	return &desc
}
