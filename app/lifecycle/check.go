package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/onnx"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/verify"
)

// CheckVersion tries the version that in asks for, as this configuration would serve it, and
// writes to out what it found: the other end of [verify.Child], in a process of its own.
func CheckVersion(ctx context.Context, cfg config.Config, in io.Reader, out io.Writer) error {
	var a *App
	err := verify.Main(ctx, in, out, func(context.Context, json.RawMessage) (verify.Loader, error) {
		a = newApp(cfg, "", zerolog.Nop())
		if err := a.openRuntime(); err != nil {
			return nil, err
		}
		return trial{a.loader()}, nil
	})
	if a != nil && a.runtime != nil {
		err = errors.Join(err, a.runtime.Close())
	}
	return err
}

// trial loads versions to try them.
type trial struct{ loader registry.Loader }

// Load implements verify.Loader.
func (t trial) Load(ctx context.Context, ref artifact.Ref) (verify.Loaded, error) {
	v, a, err := t.loader.LoadArtifact(ctx, ref)
	if err != nil {
		return verify.Loaded{}, err
	}
	return verify.Loaded{
		Signature: v.Session.Signature(), Manifest: v.Manifest, Size: v.Size, Files: a.Files, Warnings: append(a.Warnings, unlisted(ref, v.Manifest)...),
		Asker: v, Close: v.Session.Close,
	}, nil
}

// unlisted warns of files that the version's digest does not cover.
func unlisted(ref artifact.Ref, m artifact.Manifest) (warnings []string) {
	entries, err := os.ReadDir(ref.Dir)
	if err != nil {
		return nil // loading it has said what is wrong
	}
	for _, entry := range entries {
		if _, listed := m.Files[entry.Name()]; !listed && !entry.IsDir() && entry.Name() != "model.yaml" {
			warnings = append(warnings, fmt.Sprintf("file %s is not among the files of model.yaml: the digest does not cover it", entry.Name()))
		}
	}
	return warnings
}

// openRuntime loads ONNX Runtime.
func (a *App) openRuntime() (err error) {
	if a.runtime, err = onnx.Open(a.config.LibraryPath()); err != nil {
		return fmt.Errorf("%w (ONDA_ONNXRUNTIME_LIBRARY sets the path; `make setup` fetches the library)", err)
	}
	return nil
}
