// Command bench measures Onda: over ONNX Runtime itself, in batches, under overload,
// through Dapr, with events, beside its peers and while models come and go. `make bench` runs it;
// tests/bench/RESULTS.md is what it writes.
//
//	bench run -parts "raw batching" -quick    measure, and write results and page
//	bench report                              write the page of the results that are there
//	bench load, bench raw, bench echo         the processes that a measurement consists of
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/onda-serving/onda/tests/bench/echo"
	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/raw"
	"github.com/onda-serving/onda/tests/bench/report"
	"github.com/onda-serving/onda/tests/bench/suite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: bench run | report | load | raw | echo")
	}
	switch command, args := args[0], args[1:]; command {
	case "run":
		return measure(ctx, args)
	case "report":
		return report.Write(suite.ResultsDir)
	case "load":
		return job(ctx, load.Run)
	case "raw":
		return job(ctx, raw.Run)
	case "echo":
		return serveEcho(args)
	default:
		return fmt.Errorf("there is no command %q", command)
	}
}

// measure runs parts, and writes the page anew after each, so that a run that is cut
// short leaves what it had.
func measure(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	parts := flags.String("parts", strings.Join(suite.Parts, " "), "which parts to measure, in this order")
	quick := flags.Bool("quick", false, "few and short rounds: to see that it works, not to measure")
	only := flags.String("peers", "", "measure only these peers, of "+strings.Join(suite.PeerNames(), " "))
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := suite.New(suite.Options{Quick: *quick, Peers: strings.Fields(*only)})
	if err != nil {
		return err
	}
	for part := range strings.FieldsSeq(*parts) {
		if err := b.Run(ctx, part); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		if err := report.Write(suite.ResultsDir); err != nil {
			return err
		}
	}
	return nil
}

// job reads a job from standard input and writes its result to standard output.
func job[J, R any](ctx context.Context, do func(context.Context, J) (R, error)) error {
	var j J
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	result, err := do(ctx, j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// serveEcho serves until it is ended.
func serveEcho(args []string) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	address := flags.String("listen", "", "host:port")
	grpc := flags.Bool("grpc", false, "gRPC instead of HTTP")
	file := flags.String("answer", "", "file with the answer")
	contentType := flags.String("type", "application/json", "content type of the answer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	answer, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	if *grpc {
		return echo.GRPC(*address, suite.GRPCService, suite.GRPCMethod, answer)
	}
	return echo.HTTP(*address, *contentType, answer)
}
