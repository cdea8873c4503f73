package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// Control loads and unloads models while others are served: the protocol's model repository
// extension. It is safe for concurrent use; changes are made one after the other.
type Control struct {
	loader   Loader
	registry *Registry
	models   string
	// changed is told of the versions that are gone.
	changed func(identities []string)
	turn    chan struct{}
}

// NewControl makes a control of the models below the folder models. changed is called after
// every change, with the identities of the versions that do not answer any more: see [Version.Identity].
func NewControl(loader Loader, r *Registry, models string, changed func(identities []string)) *Control {
	return &Control{loader: loader, registry: r, models: models, changed: changed, turn: make(chan struct{}, 1)}
}

// Load loads the versions of a model, or loads them again. Until all of them are ready, the
// versions that are loaded go on answering, and so they do if one cannot be loaded.
//
// The error is an [scoring.Error]: Invalid for files or a configuration that cannot be
// served, NotFound for a model that is not in the folder. Its text is for operators.
func (c *Control) Load(ctx context.Context, req scoring.LoadRequest) error {
	if err := scoring.CheckName("model name", req.Name); err != nil {
		return err
	}
	if err := c.unmanaged(req.Name); err != nil {
		return err
	}
	cfg, err := configOf(req)
	if err != nil {
		return err
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.release()
	// A load that has begun goes on when its caller leaves: half of it is no use to anybody.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestLoad)
	defer cancel()
	folder, cleanUp, err := c.folder(req)
	if err != nil {
		return err
	}
	defer cleanUp()
	refs, err := artifact.ScanModel(folder, req.Name, cfg)
	if err != nil {
		return failedToLoad(req.Name, err)
	}
	if len(refs) == 0 {
		return scoring.Errorf(scoring.NotFound, "failed to load '%s': there is no version in its folder", req.Name)
	}
	c.registry.Begin(refs)
	loaded, err := c.loadAll(ctx, refs, cfg)
	if err != nil {
		return failedToLoad(req.Name, err)
	}
	if len(req.Files) > 0 {
		loaded = withoutPlace(loaded)
	}
	gone := c.identities(req.Name)
	if _, ok := c.registry.Replace(req.Name, loaded); !ok {
		return c.overtaken(req.Name)
	}
	c.changed(gone)
	return nil
}

// withoutPlace says of versions whose files came with a request that they are nowhere.
func withoutPlace(loaded map[artifact.Ref]*Version) map[artifact.Ref]*Version {
	all := map[artifact.Ref]*Version{}
	for ref, v := range loaded {
		all[artifact.Ref{Name: ref.Name, Version: ref.Version}] = v
	}
	return all
}

// overtaken is the error of a change that came too late.
func (c *Control) overtaken(name string) error {
	if err := c.unmanaged(name); err != nil {
		return err
	}
	return scoring.Errorf(scoring.Unavailable, "the server is shutting down").WithRetryAfter(time.Second)
}

// unmanaged refuses models whose document decides which version answers: a change on one
// replica alone would make it answer differently from the others.
func (c *Control) unmanaged(name string) error {
	if !c.registry.Managed(name) {
		return nil
	}
	return scoring.Errorf(scoring.Conflict, "model '%s' is managed by the registry: change it over /registry/v1/models/%s, or with `onda models`", name, name)
}

// longestLoad bounds a load, from large files on slow storage too.
const longestLoad = 15 * time.Minute

// configOf reads the configuration of a load request; nil if it brings none.
func configOf(req scoring.LoadRequest) (*configpb.ModelConfig, error) {
	if req.Config == "" {
		if len(req.Files) > 0 {
			return nil, scoring.Errorf(scoring.Invalid, "failed to load '%s': files need the parameter config, the model's configuration", req.Name)
		}
		return nil, nil //nolint:nilnil // no configuration is what was asked for
	}
	cfg, err := triton.ParseJSON([]byte(req.Config))
	if err != nil {
		return nil, scoring.Errorf(scoring.Invalid, "failed to load '%s': parameter config: %s", req.Name, err).WithCause(err)
	}
	return cfg, nil
}

func failedToLoad(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return scoring.Errorf(scoring.NotFound, "failed to load '%s': the models folder has no such model, or a file of it is missing; the server's log says which", name).WithCause(err)
	}
	return scoring.Errorf(scoring.Invalid, "failed to load '%s': %s", name, err).WithCause(err)
}

// folder is where the model's folder is: the models folder, or one made of the files that
// the request brings.
func (c *Control) folder(req scoring.LoadRequest) (folder string, cleanUp func(), err error) {
	if len(req.Files) == 0 {
		return c.models, func() {}, nil
	}
	made, err := os.MkdirTemp("", "onda-load-")
	if err != nil {
		return "", nil, scoring.InternalError(fmt.Errorf("make a folder for the files of a load request: %w", err))
	}
	cleanUp = func() { _ = os.RemoveAll(made) }
	if err := writeAll(filepath.Join(made, req.Name), req.Files); err != nil {
		cleanUp()
		return "", nil, err
	}
	return made, cleanUp, nil
}

// writeAll writes files below dir. Names that lead out of it are refused.
func writeAll(dir string, files map[string][]byte) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return scoring.InternalError(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return scoring.InternalError(err)
	}
	defer root.Close()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !filepath.IsLocal(name) {
			return scoring.Errorf(scoring.Invalid, "file %q: want VERSION/NAME, such as 1/model.onnx", name)
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return scoring.Errorf(scoring.Invalid, "file %q cannot be written", name).WithCause(err)
		}
		if err := root.WriteFile(name, files[name], 0o600); err != nil {
			return scoring.Errorf(scoring.Invalid, "file %q cannot be written", name).WithCause(err)
		}
	}
	return nil
}

// loadAll loads versions, all or none. One that fails and did not answer before is noted.
func (c *Control) loadAll(ctx context.Context, refs []artifact.Ref, cfg *configpb.ModelConfig) (map[artifact.Ref]*Version, error) {
	loaded := map[artifact.Ref]*Version{}
	for _, ref := range refs {
		begin := time.Now()
		v, err := c.loader.Load(ctx, ref, cfg)
		if c.loader.Loaded != nil {
			c.loader.Loaded(scoring.ModelRef{Name: ref.Name, Version: ref.Version}, time.Since(begin), err)
		}
		if err == nil {
			loaded[ref] = v
			continue
		}
		c.loader.Log.Error().Err(err).Str("model", ref.Name).Int64("version", ref.Version).Msg("model could not be loaded")
		for _, v := range loaded {
			_ = v.Session.Close()
		}
		c.registry.abort(refs, err)
		return nil, err
	}
	return loaded, nil
}

// Unload takes a model out of service. It waits until those who have a lease are done and
// the memory is free, or until ctx ends, which changes nothing for others. The error is an
// [scoring.Error] with code NotFound for a model that does not exist.
func (c *Control) Unload(ctx context.Context, name string) error {
	if _, err := c.registry.Model(name); err != nil {
		return err
	}
	if err := c.unmanaged(name); err != nil {
		return err
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.release()
	gone := c.identities(name)
	freed, ok := c.registry.Replace(name, nil)
	if !ok {
		return c.overtaken(name)
	}
	c.changed(gone)
	c.loader.Log.Info().Str("model", name).Msg("model unloaded")
	if _, err := os.Stat(filepath.Join(c.models, name)); errors.Is(err, fs.ErrNotExist) {
		// Its files came with a request, and are gone: nothing could load it again.
		c.registry.Forget(name)
	}
	select {
	case <-freed:
		return nil
	case <-ctx.Done():
		return scoring.AsError(ctx.Err())
	}
}

// identities are those of a model's versions that answer.
func (c *Control) identities(name string) []string {
	m, err := c.registry.Model(name)
	if err != nil {
		return nil
	}
	var all []string
	for _, s := range m.Versions {
		if s.Version != nil {
			all = append(all, s.Version.Identity())
		}
	}
	return all
}

// take waits for the turn to make a change.
func (c *Control) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return scoring.AsError(ctx.Err())
	}
}

func (c *Control) release() { <-c.turn }
