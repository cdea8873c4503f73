// Command onda is the scoring app.
package main

import (
	"os"

	"github.com/onda-serving/onda/app/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
}
