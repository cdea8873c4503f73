package verify

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/scoring"
)

// DefaultTimeout is that of a [Child] without one.
const DefaultTimeout = 2 * time.Minute

// Child starts processes that check versions, one for each check. It is safe for concurrent
// use; each check takes the memory of a process of its own.
type Child struct {
	// Command is the program, with its arguments, that calls [Main].
	Command []string
	// Env is its environment; nil stands for that of this process.
	Env []string
	// Timeout of a check; 0 means [DefaultTimeout].
	Timeout time.Duration
	// MaxMemory is how much memory a check may take, in bytes, with what the program itself
	// needs; 0 sets no bound. It matters also where the kernel sets a bound: in a container,
	// some kernels end all processes when one has taken too much.
	MaxMemory int64
	// Settings are for the function that makes the child's [Loader]; nil for none.
	Settings json.RawMessage
	// Log gets what children say on standard error.
	Log zerolog.Logger
}

// Check checks the files of the version at ref. The error is an [scoring.Error] whose text
// is for operators: Invalid or NotFound for files that cannot be served, Invalid for those
// that end the process or take too long, TooLarge for those that take too much memory,
// Internal where the check itself failed, and what became of ctx. When it returns, the
// process is gone.
func (c Child) Check(ctx context.Context, ref artifact.Ref) (Report, error) {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	req, err := json.Marshal(request{Name: ref.Name, Version: ref.Version, Dir: ref.Dir, TimeoutMS: c.Timeout.Milliseconds(), Settings: c.Settings})
	if err != nil {
		return Report{}, scoring.InternalError(err)
	}
	p := process{}
	err = p.run(ctx, c, req)
	said, ok := p.stdout.answer()
	log := c.Log.With().Str("model", ref.Name).Int64("version", ref.Version).Bytes("stderr", p.stderr.text()).Logger()
	switch {
	case err != nil && ctx.Err() != nil:
		return Report{}, scoring.AsError(ctx.Err())
	case exited(err) && ok && said.Error != "":
		log.Debug().Msg("the files of a version were refused")
		return Report{}, said.err(ref)
	case err == nil && ok:
		log.Debug().Msg("the files of a version were checked")
		return *said.Report, nil
	case err == nil:
		err = errors.New("the process that checks versions gave no report")
	}
	log.Warn().Err(err).Msg("the process that checked the files of a version did not end well")
	return Report{}, explain(ref, err)
}

// err makes the error that the child speaks of.
func (a answer) err(ref artifact.Ref) error {
	for _, code := range scoring.Codes() {
		if code.String() == a.Code && code != scoring.Internal {
			return scoring.Errorf(code, "%s: %s", ref, a.Error)
		}
	}
	return scoring.InternalError(errors.New(a.Error))
}
