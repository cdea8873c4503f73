package grpcapi

import (
	"context"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// What is said for calls that are not offered.
const (
	noSharedMemory = "shared memory is not offered: send tensors in the message, in raw_input_contents for large ones"
	noTrace        = "trace settings are not offered: tracing is set up by the server's environment"
	noLogging      = "log settings are not offered: logging is set up by the server's environment"
)

func notOffered(text string) error { return scoring.Errorf(scoring.Unimplemented, "%s", text) }

// checkRegion answers a question about one region of shared memory, of which there are none.
func checkRegion(name string) error {
	if name == "" {
		return nil
	}
	return scoring.Errorf(scoring.NotFound, "unable to find shared memory region %q: %s", clip(name), noSharedMemory)
}

// SystemSharedMemoryStatus says that there are no regions: clients ask before and after
// they use any.
func (service) SystemSharedMemoryStatus(_ context.Context, req *inferencepb.SystemSharedMemoryStatusRequest) (*inferencepb.SystemSharedMemoryStatusResponse, error) {
	if err := checkRegion(req.GetName()); err != nil {
		return nil, err
	}
	return &inferencepb.SystemSharedMemoryStatusResponse{}, nil
}

// SystemSharedMemoryRegister is not offered.
func (service) SystemSharedMemoryRegister(context.Context, *inferencepb.SystemSharedMemoryRegisterRequest) (*inferencepb.SystemSharedMemoryRegisterResponse, error) {
	return nil, notOffered(noSharedMemory)
}

// SystemSharedMemoryUnregister is not offered.
func (service) SystemSharedMemoryUnregister(context.Context, *inferencepb.SystemSharedMemoryUnregisterRequest) (*inferencepb.SystemSharedMemoryUnregisterResponse, error) {
	return nil, notOffered(noSharedMemory)
}

// CudaSharedMemoryStatus says that there are no regions.
func (service) CudaSharedMemoryStatus(_ context.Context, req *inferencepb.CudaSharedMemoryStatusRequest) (*inferencepb.CudaSharedMemoryStatusResponse, error) {
	if err := checkRegion(req.GetName()); err != nil {
		return nil, err
	}
	return &inferencepb.CudaSharedMemoryStatusResponse{}, nil
}

// CudaSharedMemoryRegister is not offered.
func (service) CudaSharedMemoryRegister(context.Context, *inferencepb.CudaSharedMemoryRegisterRequest) (*inferencepb.CudaSharedMemoryRegisterResponse, error) {
	return nil, notOffered(noSharedMemory)
}

// CudaSharedMemoryUnregister is not offered.
func (service) CudaSharedMemoryUnregister(context.Context, *inferencepb.CudaSharedMemoryUnregisterRequest) (*inferencepb.CudaSharedMemoryUnregisterResponse, error) {
	return nil, notOffered(noSharedMemory)
}

// TraceSetting is not offered.
func (service) TraceSetting(context.Context, *inferencepb.TraceSettingRequest) (*inferencepb.TraceSettingResponse, error) {
	return nil, notOffered(noTrace)
}

// LogSettings is not offered.
func (service) LogSettings(context.Context, *inferencepb.LogSettingsRequest) (*inferencepb.LogSettingsResponse, error) {
	return nil, notOffered(noLogging)
}
