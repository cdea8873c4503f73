package httpapi

import "net/http"

// registry hands everything below /registry/v1/ to the registry's own door, which writes
// its errors itself.
func (h *Handler) registry(w http.ResponseWriter, r *http.Request) error {
	h.parts.Registry.ServeHTTP(w, r)
	return nil
}
