// Command capacity chooses the chart's scaling settings and writes the capacity plan, from the
// results of the benchmarks and the assumptions in deploy/capacity. Run it in the root of the
// repository:
//
//	go run ./deploy/capacity/cmd/capacity search    # tries settings, for minutes, and writes search.json
//	go run ./deploy/capacity/cmd/capacity plan      # writes PLAN.md and its charts
//	go run ./deploy/capacity/cmd/capacity scaling   # prints the chosen values of the chart
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/onda-serving/onda/deploy/capacity/plan"
)

const folder = "deploy/capacity"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("say search, plan or scaling")
	}
	facts, err := plan.ReadFacts(".")
	if err != nil {
		return err
	}
	file := filepath.Join(folder, "search.json")
	if arguments[0] == "search" {
		return facts.Search().Save(file)
	}
	found, err := plan.LoadFound(file)
	if err != nil {
		return err
	}
	switch arguments[0] {
	case "plan":
		return plan.Write(folder, facts, found)
	case "scaling":
		text, err := found.Chosen().YAML()
		fmt.Fprint(os.Stdout, text)
		return err
	default:
		return fmt.Errorf("%q is none of search, plan and scaling", arguments[0])
	}
}
