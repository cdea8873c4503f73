// Command chaos tries to lose scoring events, and says what became of them:
//
//	go run ./tests/chaos/cmd/chaos -broker kafka -events 100000 -kills 20
//
// It exits with 1 when an event was lost, or has two answers that contradict each other.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/onda-serving/onda/tests/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, args []string) error {
	o := chaos.Options{Log: os.Stderr}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.IntVar(&o.Events, "events", 100_000, "how many different events to publish")
	flags.StringVar(&o.Broker, "broker", chaos.Redis, "the broker: redis, kafka or rabbitmq")
	flags.IntVar(&o.Kills, "kills", 20, "how often to kill Onda, its sidecar or the broker")
	flags.StringVar(&o.Only, "only", "", "kill nothing but this: onda, sidecar, or the broker by its name")
	flags.Uint64Var(&o.Seed, "seed", 1, "decides which and when")
	flags.BoolVar(&o.Forget, "forget", false, "run Onda without its memory of answers, to see what that changes")
	flags.DurationVar(&o.Patience, "patience", time.Minute, "how long nothing may be answered before the run gives up")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.Events < 1 || o.Kills < 0 || flags.NArg() > 0 {
		return errors.New("want -events 1 or more, -kills 0 or more, and no further arguments")
	}
	report, err := chaos.Run(ctx, o)
	if err != nil {
		return err
	}
	if err := report.Write(os.Stdout); err != nil {
		return err
	}
	if report.Failed() {
		return errors.New("events were lost, or answers are wrong")
	}
	return nil
}
