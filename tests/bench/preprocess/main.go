// Command preprocess compares how long Onda and Pillow take to turn a JPEG into the tensor
// of the image-classification model, and how far the tensors are apart.
//
// Both sides run in one thread, and turn by turn, so that whatever else the machine does
// meets both. run.sh builds it and brings Pillow along.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// report is what --out gets.
type report struct {
	When     time.Time         `json:"when"`
	Go       string            `json:"go"`
	Platform string            `json:"platform"`
	Versions map[string]string `json:"versions"`
	Cases    []result          `json:"cases"`
	Groups   []group           `json:"groups"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}

func run() error {
	out := flag.String("out", "", "write the numbers to this file, as JSON")
	photos := flag.String("photos", "models/image-classification/1", "a folder of photos, PNG or JPEG, or several with commas between")
	python := flag.String("python", "python3", "a Python with Pillow and numpy")
	quick := flag.Bool("quick", false, "one quality, fewer rounds")
	only := flag.String("only", "", "only the cases whose name holds this, such as 500x375")
	flag.Parse()
	runtime.GOMAXPROCS(1) // the collector must not have a processor of its own either

	paths, err := find(*photos)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "preprocess")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	pillow, err := startPillow(*python)
	if err != nil {
		return err
	}
	defer pillow.stop()
	r := report{When: time.Now().UTC(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if err := pillow.ask(map[string]any{"do": "versions"}, &r.Versions); err != nil {
		return err
	}
	say("Pillow %s, libjpeg-turbo %s, %s\n", r.Versions["pillow"], r.Versions["libjpeg_turbo"], r.Go)
	if r.Cases, err = compareAll(pillow, dir, pictures(paths, *quick, *only), *quick); err != nil {
		return err
	}
	r.Groups = groups(r.Cases)
	printGroups(r.Groups)
	if *out == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*out, append(text, '\n'), 0o600)
}

// find lists the pictures in folders.
func find(folders string) ([]string, error) {
	var paths []string
	for folder := range strings.SplitSeq(folders, ",") {
		for _, pattern := range []string{"*.jpg", "*.jpeg", "*.png"} {
			found, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				return nil, err
			}
			paths = append(paths, found...)
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no photos in %s", folders)
	}
	return paths, nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stdout, format, args...) }
