package registryapi

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	// actionUpload is the name of uploads for the observer and the log.
	actionUpload = "upload"
	// maxUploads bounds the files that arrive at once: each takes some buffers.
	maxUploads = 16
	// deadlineEvery is how often the deadline of an upload is moved.
	deadlineEvery = time.Second
	// drainTime is how long the rest of a body is read whose upload failed, and drainIdle how
	// long nothing may come meanwhile.
	drainTime = 5 * time.Second
	drainIdle = 500 * time.Millisecond
)

// blob is the answer to an upload.
type blob struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// hasBlob answers HEAD /registry/v1/blobs/{sum}.
func (h *Handler) hasBlob(w http.ResponseWriter, r *http.Request) error {
	sum := r.PathValue("sum")
	size, ok, err := h.service.HasBlob(r.Context(), sum)
	if err != nil {
		return err
	}
	if !ok {
		return scoring.Errorf(scoring.NotFound, "there is no file with the SHA-256 %s: PUT it there", operator.Clip(sum))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

// upload answers PUT /registry/v1/blobs/{sum}. The body goes to the store as it arrives.
func (h *Handler) upload(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	created, err := h.uploaded(w, r)
	code := "OK"
	if err != nil {
		code = scoring.CodeOf(err).String()
	}
	h.changed(actionUpload, code)
	event := h.door.Log.Info().Str("action", actionUpload).Str("code", code).Str("actor", operator.Actor(r)).
		Str("sha256", operator.Clip(r.PathValue("sum"))).Int64("bytes", r.ContentLength).Dur("took_ms", time.Since(start))
	if err != nil {
		event.Err(err).Msg("change refused")
		return err
	}
	event.Bool("created", created).Msg("change made")
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	operator.Abandon(w, r) // what is there already is not read again
	h.door.Answer(w, status, blob{SHA256: r.PathValue("sum"), Size: r.ContentLength})
	return nil
}

func (h *Handler) uploaded(w http.ResponseWriter, r *http.Request) (created bool, err error) {
	if err := h.door.Authorise(r); err != nil {
		return false, err
	}
	if err := h.checkUpload(r); err != nil {
		return false, err
	}
	select {
	case h.uploads <- struct{}{}:
		defer func() { <-h.uploads }()
	default:
		return false, scoring.Errorf(scoring.Overloaded, "%d files are being uploaded, and no more are taken at once: try again", maxUploads).WithRetryAfter(time.Second)
	}
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetWriteDeadline(time.Time{}) // the server's own bound is for answers, see write
	body := &arriving{handler: h, request: r, deadlines: deadlines}
	created, err = h.service.Upload(r.Context(), r.PathValue("sum"), r.ContentLength, body)
	if err != nil {
		body.drain()
	}
	return created, storeError(err)
}

// storeError gives a store that cannot take any file a status of its own: 507 tells callers
// that to send the file again does not help.
func storeError(err error) error {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, fs.ErrPermission} {
		if errors.Is(err, cause) {
			return operator.StatusError{Cause: scoring.AsError(err), Status: http.StatusInsufficientStorage, Header: "Connection", Value: "close"}
		}
	}
	return err
}

// checkUpload refuses what needs no look at the body.
func (h *Handler) checkUpload(r *http.Request) error {
	if err := checkEncoding(r); err != nil {
		return err
	}
	switch {
	case r.ContentLength < 0:
		return operator.StatusError{
			Cause:  scoring.Errorf(scoring.Invalid, "content-length is missing: send the number of bytes of the file"),
			Status: http.StatusLengthRequired, Header: "Connection", Value: "close",
		}
	case r.ContentLength > h.config.MaxBlob:
		return scoring.Errorf(scoring.TooLarge, "the file is too large: at most %d bytes are allowed (ONDA_MAX_ARTIFACT), got %d bytes", h.config.MaxBlob, r.ContentLength)
	}
	return nil
}

// arriving is the body of an upload. It may take as long as it likes, but not stop.
type arriving struct {
	handler   *Handler
	request   *http.Request
	deadlines *http.ResponseController
	// moved is when the deadline was set; zero before anything was read.
	moved time.Time
	// ended says that there is nothing more to read, or that reading failed.
	ended bool
}

// Read implements io.Reader.
func (a *arriving) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(a.moved) >= deadlineEvery {
		a.moved = now
		_ = a.deadlines.SetReadDeadline(now.Add(a.handler.config.ReadTimeout))
	}
	n, err := a.request.Body.Read(p)
	a.ended = a.ended || err != nil
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		_ = a.deadlines.SetReadDeadline(time.Time{})
	default:
		err = a.handler.door.BodyError(a.request, err)
	}
	return n, err
}

// drain reads on after a failure, and forgets what comes, as long as something comes and for a
// bounded time. Many callers look for an answer only when all is sent: a connection that is
// closed before would be reset, and the answer be lost with it. A caller who waits to be told
// to go on has sent nothing and hears the answer at once.
func (a *arriving) drain() {
	if a.ended || a.moved.IsZero() && a.request.Header.Get("Expect") != "" {
		return
	}
	buffer := make([]byte, 64<<10)
	for end := time.Now().Add(drainTime); ; {
		now := time.Now()
		if now.After(end) || a.deadlines.SetReadDeadline(now.Add(drainIdle)) != nil {
			return // no deadlines: nobody would end the wait
		}
		if _, err := a.request.Body.Read(buffer); err != nil {
			return
		}
	}
}
