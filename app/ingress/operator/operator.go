// Package operator is what the doors for operators have in common, below /registry/v1 and
// /events/v1: who may come in, how bodies are read, and how answers, failures and streams of
// lines are written. What is asked there is for the packages with the routes to know.
package operator

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/scoring"
)

// Door is the common part of a door. It is safe for concurrent use once it is set up, and must
// not be copied then.
type Door struct {
	// Changes is [ChangesToken], [ChangesOpen] or [ChangesOff]; any other value is as off.
	Changes string
	// Token that is to be shown where Changes is [ChangesToken]. Without one, nobody may come
	// in.
	Token string
	// Words of the door, for those who may not.
	Words Words
	// ReadTimeout bounds the time that a body may take to arrive.
	ReadTimeout time.Duration
	// Log tells of failures.
	Log zerolog.Logger

	// foreign refuses what a browser sends on behalf of another site's page.
	foreign http.CrossOriginProtection
}

// Caught does something and turns a panic into an error: one request's bad luck is answered
// like any other failure.
func (d *Door) Caught(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			d.Log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic while answering")
			err = scoring.InternalError(nil)
		}
	}()
	return do()
}

// Unknown is the error for what no route of mux but "/" matches: 405 where the path exists for
// other methods, and otherwise 404 with what would be right.
func Unknown(mux *http.ServeMux, r *http.Request, want string) error {
	if methods := allowed(mux, r); len(methods) > 0 {
		return StatusError{
			Cause:  scoring.Errorf(scoring.Unimplemented, "method %s is not allowed here: use %s", Clip(r.Method), strings.Join(methods, " or ")),
			Status: http.StatusMethodNotAllowed, Header: "Allow", Value: strings.Join(methods, ", "),
		}
	}
	return scoring.Errorf(scoring.NotFound, "there is nothing at %s %s: want %s", Clip(r.Method), Clip(r.URL.Path), want)
}

// allowed lists the methods that the path of r answers. HEAD goes without saying where GET is.
func allowed(mux *http.ServeMux, r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		_, pattern := mux.Handler(probe)
		if pattern == "/" || pattern == "" || method == http.MethodHead && len(methods) > 0 {
			continue
		}
		methods = append(methods, method)
	}
	return methods
}

// Clip shortens what a caller sent before it is repeated in an error.
func Clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
