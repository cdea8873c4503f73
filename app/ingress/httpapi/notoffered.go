package httpapi

import (
	"net/http"

	"github.com/onda-serving/onda/app/scoring"
)

// sharedMemoryStatus answers GET /v2/systemsharedmemory/status and that of CUDA: there
// are no regions. Clients ask before and after they use any.
func (h *Handler) sharedMemoryStatus(w http.ResponseWriter, r *http.Request) error {
	if region := r.PathValue("region"); region != "" {
		return scoring.Errorf(scoring.NotFound, "unable to find shared memory region %q: shared memory is not offered, send tensors in the body", clip(region))
	}
	return writeJSON(w, r, http.StatusOK, []string{})
}

// notOffered makes the operation that answers calls of the protocol with a text why.
func notOffered(text string) operation {
	return func(http.ResponseWriter, *http.Request) error {
		return scoring.Errorf(scoring.Unimplemented, "%s", text)
	}
}

// What is said for calls that are not offered.
const (
	noSharedMemory = "shared memory is not offered: send tensors in the body, with the binary tensor extension for large ones"
	noGenerate     = "generate is for language models and not offered: use infer, or :predict"
	noTrace        = "trace settings are not offered: tracing is set up by the server's environment"
	noLogging      = "log settings are not offered: logging is set up by the server's environment"
)
