// Package score is the command that scores a file: onda score.
package score

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/offline"
	"github.com/onda-serving/onda/app/scoring"
)

// rowErrors is the exit code of a run that is done, and in which rows failed.
const rowErrors = 2

// Engine scores with one version: see lifecycle.Offline, which implements it.
type Engine interface {
	offline.Scorer
	// Model is the version.
	Model() offline.Model
	// Close frees it.
	Close(ctx context.Context) error
}

// Defaults are what the settings say.
type Defaults struct {
	// Concurrency is how many groups are scored at once.
	Concurrency int
	// MaxRow is the longest row and the largest picture, in bytes.
	MaxRow int
	// MaxInstances bounds the instances of a row that is a whole body.
	MaxInstances int
}

// Open loads a version. It is called after the command line was read; an error may be a
// command.ExitError.
type Open func(ctx context.Context, cmd *cobra.Command, ref scoring.ModelRef) (Engine, Defaults, error)

const long = `Score a file, or a folder of pictures, with a model of ONDA_MODELS_DIR.

Input:   JSON lines (a :predict instance, an object with a value for each input of
         a tensor model, or a whole body), CSV with a header, Parquet, or a folder.
         The column of a text is called text; a column id is handed on.
Output:  JSON lines with whole answers, or CSV or Parquet (by the name) with the best
         class or match alone; a line for each row, in order.

A run that was stopped or killed goes on where it stopped when the same command
is run again, and gives the same bytes as one that ran through.

Exit code: 0 all rows scored, 1 failed, 2 done with rows that failed or a wrong
command line, 130 stopped by Ctrl-C.`

// New makes the command score.
func New(open Open) *cobra.Command {
	var o offline.Options
	var model string
	cmd := &cobra.Command{
		Use: "score --model MODEL --input PATH --output FILE", Short: "answer the rows of a file without a server", Long: long,
		Example: "  onda score --model faq-matching --input questions.csv --output answers.jsonl\n" +
			"  onda score --model image-classification@1 --input photos/ --output classes.csv\n",
		Args: command.Exactly(0),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&model, "model", "", "model, model@version or model/versions/N")
	flags.StringVar(&o.Input, "input", "", "file or folder to score")
	flags.StringVar(&o.Output, "output", "", "file to write: .jsonl, .csv or .parquet")
	flags.StringVar(&o.InputFormat, "input-format", "", "jsonl, csv, parquet or folder; told from the name without it")
	flags.IntVar(&o.Batch, "batch", 0, "rows that run together; 0, and more than the model takes, means as many as it takes")
	flags.IntVar(&o.Concurrency, "concurrency", 0, "batches that are scored at once; 0 follows ONDA_MAX_CONCURRENCY")
	flags.IntVar(&o.TopK, "top-k", 0, "classes or matches of an answer; 0 leaves it to the model")
	flags.BoolVar(&o.Restart, "restart", false, "start over, and replace the output")
	flags.Int64Var(&o.MaxErrors, "max-errors", -1, "rows that may fail before the run ends; -1 for any number")
	command.Complete(cmd, "input-format", command.OneOf(offline.Formats()...))
	command.Complete(cmd, "model", command.Nothing)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ref, err := check(cmd, model, o)
		if err != nil {
			return err
		}
		return run(cmd, open, ref, o)
	}
	return cmd
}

// check looks for what is wrong with a command line.
func check(cmd *cobra.Command, model string, o offline.Options) (scoring.ModelRef, error) {
	for _, flag := range []struct{ name, value string }{{"model", model}, {"input", o.Input}, {"output", o.Output}} {
		if flag.value == "" {
			return scoring.ModelRef{}, command.WrongUsage(cmd, "--%s is missing", flag.name)
		}
	}
	if o.Batch < 0 || o.Concurrency < 0 || o.TopK < 0 {
		return scoring.ModelRef{}, command.WrongUsage(cmd, "--batch, --concurrency and --top-k: want 0 or more")
	}
	if o.MaxErrors < -1 {
		return scoring.ModelRef{}, command.WrongUsage(cmd, "--max-errors %d: want how many rows may fail, or -1 for any number", o.MaxErrors)
	}
	if o.InputFormat != "" && !slices.Contains(offline.Formats(), o.InputFormat) {
		return scoring.ModelRef{}, command.WrongUsage(cmd, "--input-format %q: want %s", o.InputFormat, strings.Join(offline.Formats(), ", "))
	}
	ref, err := scoring.ParseModelName(model)
	if err != nil {
		return ref, command.WrongUsage(cmd, "--model: %s", scoring.AsError(err).Message)
	}
	return ref, nil
}

// run scores, and says how it ended.
func run(cmd *cobra.Command, open Open, ref scoring.ModelRef, o offline.Options) (err error) {
	// After the first signal the handler is gone: a second one ends the process at once.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()
	engine, defaults, err := open(ctx, cmd, ref)
	if err != nil {
		return err
	}
	defer func() {
		if closed := engine.Close(context.WithoutCancel(ctx)); closed != nil && err == nil {
			err = closed
		}
	}()
	if o.Concurrency == 0 {
		o.Concurrency = defaults.Concurrency
	}
	o.MaxRow, o.MaxInstances = defaults.MaxRow, defaults.MaxInstances
	meter := newMeter(cmd.ErrOrStderr(), o.Input)
	o.Progress = meter.tell
	progress, err := offline.Run(ctx, engine, engine.Model(), o)
	if err == nil || progress.Rows > 0 { // where nothing began, only the reason matters
		meter.end(progress)
	}
	return ended(ctx, o, progress, err)
}

// ended turns the end of a run into an exit code.
func ended(ctx context.Context, o offline.Options, p offline.Progress, err error) error {
	const on = "the same command goes on from there"
	switch {
	case err == nil && p.Errors == 0:
		return nil
	case err == nil:
		return &command.ExitError{Code: rowErrors, Text: plural(p.Errors, "row") + " could not be scored: " + o.Output + " says why"}
	case ctx.Err() != nil:
		return &command.ExitError{Code: command.Interrupted, Text: "stopped after " + plural(p.Rows, "row") + ": " + on}
	case errors.Is(err, offline.ErrTooManyErrors):
		return &command.ExitError{Code: command.Failed, Text: err.Error() + ": " + plural(p.Errors, "row") + " of " + number(p.Rows) + " could not be scored, and " + o.Output + ".part says why; with a larger one, " + on}
	case p.Rows > 0:
		return &command.ExitError{Code: command.Failed, Text: text(err) + " (after " + plural(p.Rows, "row") + ": " + on + ")"}
	default:
		return &command.ExitError{Code: command.Failed, Text: text(err)}
	}
}

// text of an error, for people.
func text(err error) string {
	if public, ok := errors.AsType[*scoring.Error](err); ok {
		return public.Message
	}
	return err.Error()
}
