// Package cli is the command line of the onda binary.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/lifecycle"
	"github.com/onda-serving/onda/app/telemetry"
)

// Version of the build; the linker sets it.
var Version = "dev"

const usage = `Onda scores ONNX models behind a Dapr sidecar.

Usage: onda <command>

Commands:
  serve      score requests until SIGTERM or SIGINT
  config     print every setting with its value and meaning, and check them
  version    print the version of this build

Settings come from the environment: see "onda config".
`

// The exit codes: a wrong setting is told from a failure, as a supervisor may want to
// retry the latter.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Run runs the command that args, without the program's name, ask for. It returns the
// exit code.
func Run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("onda", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() != 1:
		flags.Usage()
		return exitUsage
	}
	switch command := flags.Arg(0); command {
	case "serve":
		return serve(stderr)
	case "config":
		return printConfig(stdout, stderr)
	case "version":
		fmt.Fprintln(stdout, "onda", version())
		return exitOK
	case "help":
		fmt.Fprint(stdout, usage)
		return exitOK
	default:
		fmt.Fprintf(stderr, "onda: unknown command %q\n\n%s", command, usage)
		return exitUsage
	}
}

func serve(stderr io.Writer) int {
	cfg, unknown, err := config.Load()
	if err != nil {
		fmt.Fprintf(stderr, "onda: wrong settings:\n%s\n", err)
		return exitUsage
	}
	log := telemetry.NewLogger(stderr, cfg.LogLevel, cfg.LogFormat)
	for _, name := range unknown {
		log.Warn().Str("variable", name).Msg(`not a setting of Onda: misspelt? "onda config" lists them all`)
	}
	// After the first signal the handler is gone: a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()
	runtime.GOMAXPROCS(config.Processors() + spareProcessors)
	app, err := lifecycle.New(cfg, version(), log)
	if err != nil {
		log.Error().Err(err).Msg("could not start")
		return exitFailed
	}
	if err := app.Run(ctx); err != nil {
		log.Error().Err(err).Msg("failed")
		return exitFailed
	}
	return exitOK
}

// spareProcessors is how many goroutines may run besides one for each core. Decoding keeps
// a core busy for milliseconds at a time, and with no more processors than cores nobody
// would look at the network meanwhile: requests that are refused would wait for their turn
// as if they were served. The kernel shares the cores, and favours who mostly sleeps.
const spareProcessors = 2

func printConfig(stdout, stderr io.Writer) int {
	cfg, unknown, err := config.Load()
	if err != nil {
		fmt.Fprintf(stderr, "onda: wrong settings:\n%s\n", err)
		return exitUsage
	}
	for _, s := range config.Settings() {
		fmt.Fprintf(stdout, "%-26s %-24s %s\n", s.Name, s.Value(cfg), s.Meaning)
	}
	for _, name := range unknown {
		fmt.Fprintf(stderr, "onda: %s is not a setting of Onda: misspelt?\n", name)
	}
	return exitOK
}

// version is what the linker set, else what Go knows of the build.
func version() string {
	if Version != "dev" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return Version
}
