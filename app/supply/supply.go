// Package supply says where registered versions come from: it fetches their files into a
// folder of this replica, by digest, and has them tried in a process of their own before
// the serving process loads them.
package supply

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/diskcache"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

// Config of a supply.
type Config struct {
	// Dir keeps what was fetched, and what is known of it, for the next start; "" takes a
	// temporary folder.
	Dir string
	// MaxBytes bounds the files that were fetched.
	MaxBytes int64
	// Store is the URL, or the path, of the artifact store; "" for none.
	Store string
	// Sources are the URLs, or paths, below which versions may lie.
	Sources []string
	// Child tries versions; nil tries none.
	Child *verify.Child
	// Runtime and Device are what versions are tried with: another runtime, another trial.
	Runtime, Device string
	// Log of what was fetched.
	Log zerolog.Logger
}

// Supply fetches and tries versions. It is safe for concurrent use.
type Supply struct {
	config  Config
	dir     string
	sources blobs.Allow
	cache   *diskcache.Cache
	store   *blobs.Store // nil where there is none

	temporary *temporary // nil where the folder stays
}

// Open makes a supply. The error names the setting that is wrong.
func Open(ctx context.Context, config Config) (s *Supply, err error) {
	s = &Supply{config: config, dir: config.Dir, sources: config.Sources}
	if s.dir == "" {
		if s.temporary, err = newTemporary(config.Log); err != nil {
			return nil, fmt.Errorf("make a temporary folder for fetched models: %w (ONDA_ARTIFACT_CACHE sets one)", err)
		}
		s.dir = s.temporary.dir
	}
	if err := os.MkdirAll(filepath.Join(s.dir, checkedFolder), 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("ONDA_ARTIFACT_CACHE=%s: %w", config.Dir, err), s.Close())
	}
	tidy(s.dir, config.Log)
	if err := s.sources.Validate(); err != nil {
		return nil, errors.Join(err, s.Close()) // it names the setting
	}
	if s.cache, err = diskcache.Open(filepath.Join(s.dir, "files"), config.MaxBytes, config.Log); err != nil {
		return nil, errors.Join(fmt.Errorf("ONDA_ARTIFACT_CACHE=%s: %w", config.Dir, err), s.Close())
	}
	if config.Store == "" {
		return s, nil
	}
	if s.store, err = blobs.OpenStore(ctx, config.Store); err != nil {
		return nil, errors.Join(fmt.Errorf("ONDA_ARTIFACT_STORE: %w", err), s.Close())
	}
	return s, nil
}

// Close gives back what Open took. A temporary folder goes with all that is in it.
func (s *Supply) Close() error {
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.temporary != nil {
		errs = append(errs, s.temporary.remove())
	}
	return errors.Join(errs...)
}

// Store is the artifact store; nil where there is none.
func (s *Supply) Store() *blobs.Store { return s.store }

// snapshotName is the name of that file. While it is written anew, its new text is in a file
// whose name begins so.
const snapshotName = "registry.json"

// Snapshot is the file that keeps the registry's documents for the next start; "" where
// nothing is kept.
func (s *Supply) Snapshot() string {
	if s.config.Dir == "" {
		return ""
	}
	return filepath.Join(s.dir, snapshotName)
}

// Fetch implements registry.Files.
func (s *Supply) Fetch(ctx context.Context, model string, v catalog.Version, progress func(done, total int64)) (artifact.Ref, func(), error) {
	return s.cache.Fetch(ctx, model, v, func(ctx context.Context) (blobs.Source, error) { return s.source(ctx, v) }, progress)
}

// source opens the place where a version's files are.
func (s *Supply) source(ctx context.Context, v catalog.Version) (blobs.Source, error) {
	if v.Location != catalog.InStore {
		return blobs.Open(ctx, v.Location, s.sources)
	}
	if s.store == nil {
		return nil, scoring.Errorf(scoring.Unimplemented, "its files are in the artifact store, and this replica has none: set ONDA_ARTIFACT_STORE to the one that the other replicas have")
	}
	return s.store.Source(v.Files), nil
}

// noChild says that versions cannot be tried.
func noChild() error {
	return scoring.Errorf(scoring.Unimplemented, "this server cannot try versions in a process of their own, and takes none that were not tried")
}
