// Command profile serves as `onda serve` does, and writes a profile of the processor while
// it is under load: what tests/bench/RESULTS.md points at where a target is missed.
//
//	go build -o .local/bench/profile ./tests/bench/cmd/profile
//	ONDA_MODELS_DIR=.local/bench/models/adaptive .local/bench/profile -out small.pprof
//	go tool pprof -top -cum .local/bench/profile small.pprof
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/onda-serving/onda/app/cli"
)

func main() {
	out := flag.String("out", "cpu.pprof", "file of the profile")
	after := flag.Duration("after", 4*time.Second, "when to begin, from the start of the program")
	length := flag.Duration("for", 8*time.Second, "how long")
	flag.Parse()
	go func() {
		if err := profile(*out, *after, *length); err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
	os.Exit(cli.Run([]string{"serve"}, os.Stdout, os.Stderr)) //nolint:forbidigo // this is main
}

// profile writes a profile of the time from after on.
func profile(out string, after, length time.Duration) error {
	file, err := os.Create(out) //nolint:gosec // the file that whoever starts it names
	if err != nil {
		return err
	}
	defer file.Close()
	time.Sleep(after)
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	time.Sleep(length)
	pprof.StopCPUProfile()
	return nil
}
