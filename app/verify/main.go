package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/golden"
	"github.com/onda-serving/onda/app/scoring"
)

// Loader loads versions: see registry.Loader.
type Loader interface {
	// Load reads, checks, loads and warms up the version at ref.
	Load(ctx context.Context, ref artifact.Ref) (Loaded, error)
}

// Loaded is a version that is loaded.
type Loaded struct {
	// Signature of the model.
	Signature scoring.Signature
	// Manifest of the version.
	Manifest artifact.Manifest
	// Size of its files, in bytes.
	Size int64
	// Files reads its files, golden.json among them.
	Files fs.FS
	// Warnings name what has no effect, one sentence each.
	Warnings []string
	// Asker answers for it.
	Asker golden.Asker
	// Close frees it.
	Close func() error
}

// Main is the child: it reads a request from in, checks that version and writes the answer to
// out. open makes the loader, from what the parent gave as [Child.Settings]; what it takes in
// memory is not counted for the version. A version that is not sound is an answer like any
// other: the error is for an answer that nobody will read.
//
// The process must be there for this alone. Main makes it the first to be ended when memory
// is short, lets all others go first, bounds its processor time, and gives up on Go's own
// way to handle what C code does wrong: a segmentation fault is to end it by that signal.
func Main(ctx context.Context, in io.Reader, out io.Writer, open func(ctx context.Context, settings json.RawMessage) (Loader, error)) error {
	var req request
	if err := json.NewDecoder(io.LimitReader(in, maxMessage)).Decode(&req); err != nil {
		return fmt.Errorf("read the request from standard input: %w", err)
	}
	confine(time.Duration(req.TimeoutMS) * time.Millisecond)
	line := answer{}
	if loader, err := open(ctx, req.Settings); err != nil {
		line.Error, line.Code = "make the loader: "+err.Error(), scoring.Internal.String()
	} else if line.Report, err = check(ctx, req, loader); err != nil {
		line.Error, line.Code = words(err, req), codeOf(ctx, err).String()
	}
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err = out.Write(append(text, '\n'))
	return err
}

// check loads and runs the version, and measures both.
func check(ctx context.Context, req request, loader Loader) (*Report, error) {
	before, start := ownMemory(), time.Now()
	loaded, err := loader.Load(ctx, artifact.Ref{Name: req.Name, Version: req.Version, Dir: req.Dir})
	if err != nil {
		return nil, err
	}
	report := reportOf(&loaded)
	report.LoadMS = milliseconds(time.Since(start))
	if err := report.run(ctx, &loaded); err != nil {
		return nil, errors.Join(err, loaded.Close())
	}
	if before > 0 {
		report.MemoryBytes = max(0, ownMemory()-before)
	}
	// What goes wrong when it is freed is to be seen here, too.
	if err := loaded.Close(); err != nil {
		return nil, fmt.Errorf("free the model: %w", err)
	}
	return report, nil
}

// reportOf says what the files say.
func reportOf(l *Loaded) *Report {
	m := &l.Manifest
	r := &Report{
		Digest:      m.Digest,
		SizeBytes:   l.Size,
		Inputs:      tensors(l.Signature.Inputs),
		Outputs:     tensors(l.Signature.Outputs),
		Pipeline:    "none",
		Framework:   m.Provenance.Framework,
		Description: m.Description,
		Licence:     m.Licence,
		Provenance:  m.Provenance,
		Metrics:     m.Metrics,
		Warnings:    l.Warnings,
	}
	switch {
	case m.Pipeline.Image != nil:
		r.Pipeline = "image"
	case m.Pipeline.Text != nil:
		r.Pipeline = "text"
	}
	return r
}

func tensors(specs []scoring.TensorSpec) []catalog.Tensor {
	all := make([]catalog.Tensor, 0, len(specs))
	for _, s := range specs {
		all = append(all, catalog.Tensor{Name: s.Name, Datatype: s.Datatype.String(), Shape: s.Shape})
	}
	return all
}

// codeOf is the code of a check that failed. Whatever a model does wrong, it is its files
// that cannot be served, as they are.
func codeOf(ctx context.Context, err error) scoring.Code {
	switch {
	case ctx.Err() != nil:
		return scoring.CodeOf(ctx.Err())
	case errors.Is(err, fs.ErrNotExist):
		return scoring.NotFound
	default:
		return scoring.Invalid
	}
}

// words makes the text of an error one for operators: without the name of the version, which
// the parent puts before it, without the code, and without the place of the models folder.
func words(err error, req request) string {
	text := err.Error()
	ref := artifact.Ref{Name: req.Name, Version: req.Version}.String() + ": "
	text = strings.TrimPrefix(text, "load "+ref)
	text = strings.TrimPrefix(text, "open "+ref)
	if coded, ok := errors.AsType[*scoring.Error](err); ok {
		text = strings.Replace(text, coded.Code.String()+": ", "", 1)
	}
	if dir := filepath.Dir(req.Dir); len(dir) > 1 {
		text = strings.ReplaceAll(text, dir, req.Name)
	}
	const most = 4096
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.ToValidUTF8(text, "")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
