package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

// command is the first argument of the test binary where it is to be a child.
const command = "check-version"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == command {
		os.Exit(child(os.Args[2], os.Args[3:]))
	}
	goleak.VerifyTestMain(m)
}

// ref is the version that most children are asked about.
var ref = artifact.Ref{Name: "m", Version: 3, Dir: "/srv/models/m/3"}

// started makes a parent of children in a mode, which are this test's own binary.
func started(t *testing.T, mode string, args ...string) verify.Child {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return verify.Child{Command: append([]string{binary, command, mode}, args...), Timeout: time.Minute, Log: zerolog.New(zerolog.NewTestWriter(t))}
}

// child is what the test binary does as a child. It returns the exit code.
func child(mode string, args []string) int {
	load, ok := loads[mode]
	if !ok {
		return misbehave(mode, args)
	}
	err := verify.Main(context.Background(), os.Stdin, os.Stdout, func(_ context.Context, settings json.RawMessage) (verify.Loader, error) {
		return loader(func(ref artifact.Ref) (verify.Loaded, error) { return load(ref, settings, args) }), nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type loader func(ref artifact.Ref) (verify.Loaded, error)

func (l loader) Load(_ context.Context, ref artifact.Ref) (verify.Loaded, error) { return l(ref) }

// misbehave are children that do not do what a child should.
func misbehave(mode string, args []string) int {
	switch mode {
	case "silent":
	case "exit":
		fmt.Fprintln(os.Stderr, "I had rather not")
		return 3
	case "garbage":
		fmt.Println(`{"digest":`)
	case "empty":
		fmt.Println(`{}`)
	case "flood":
		for range 3 << 10 {
			fmt.Println(strings.Repeat("x", 1023))
			fmt.Fprintln(os.Stderr, strings.Repeat("y", 1023))
		}
		fmt.Println(`{"digest": "sha256:a"}`)
		fmt.Fprint(os.Stderr, "the end")
	case "noise":
		fmt.Println("a library's word")
		fmt.Println(`{"digest": "sha256:a"}`)
	case "refuse":
		fmt.Println(`{"error": "no", "code": "Conflict"}`)
		return 1
	case "crash after the report":
		fmt.Println(`{"digest": "sha256:a"}`)
		signal(syscall.SIGKILL)
	case "no loader":
		fail := func(context.Context, json.RawMessage) (verify.Loader, error) { return nil, errors.New("no library") }
		if err := verify.Main(context.Background(), os.Stdin, os.Stdout, fail); err != nil {
			return 1
		}
	case "pipe":
		// A process that outlives its parent, and keeps its pipes.
		cmd := exec.Command("sleep", "5")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return 1
		}
		time.Sleep(time.Minute)
	case "parent":
		c := verify.Child{Command: []string{os.Args[0], command, "sleep", args[0]}}
		_, err := c.Check(context.Background(), ref)
		fmt.Fprintln(os.Stderr, err)
	default:
		fmt.Fprintln(os.Stderr, "no such mode:", mode)
		return 1
	}
	return 0
}

// signal sends this process a signal, and waits for its effect.
func signal(s syscall.Signal) {
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		panic(err)
	}
	time.Sleep(time.Minute)
}

// loads are what the loaders of children do, by their modes.
var loads = map[string]func(ref artifact.Ref, settings json.RawMessage, args []string) (verify.Loaded, error){
	"sound": func(ref artifact.Ref, settings json.RawMessage, _ []string) (verify.Loaded, error) {
		l := sound()
		l.Warnings = []string{fmt.Sprintf("loaded %s of %s with %s", ref, ref.Dir, settings)}
		return l, nil
	},
	"refused": func(ref artifact.Ref, _ json.RawMessage, _ []string) (verify.Loaded, error) {
		return verify.Loaded{}, fmt.Errorf("load %s: warm up with 8 rows: %w", ref, scoring.Errorf(scoring.Internal, "the model failed").WithCause(errors.New("in /srv/models/m/3/model.onnx and /srv/models/m")))
	},
	"missing": func(ref artifact.Ref, _ json.RawMessage, _ []string) (verify.Loaded, error) {
		_, err := artifact.Open(ref)
		return verify.Loaded{}, err
	},
	"endless text": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		return verify.Loaded{}, errors.New(strings.Repeat("ä", 1<<20))
	},
	"wrong": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		l := sound()
		l.Asker = asker{score: 0.25}
		return l, nil
	},
	"bad golden": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		l := sound()
		l.Files = fstest.MapFS{"golden.json": {Data: []byte(`{}`)}}
		return l, nil
	},
	"no golden": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		l := sound()
		l.Files = fstest.MapFS{}
		return l, nil
	},
	"no golden and no run": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		l := sound()
		l.Files, l.Asker = fstest.MapFS{}, asker{err: scoring.Errorf(scoring.Invalid, "zeros are no lengths")}
		return l, nil
	},
	"too large for zeros": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		l := sound()
		l.Files, l.Signature.Inputs[0].Shape = fstest.MapFS{}, []int64{1 << 40}
		return l, nil
	},
	"fails to close": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		l := sound()
		l.Close = func() error { return errors.New("still in use") }
		return l, nil
	},
	"segmentation fault": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		signal(syscall.SIGSEGV)
		return verify.Loaded{}, nil
	},
	"nil pointer": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		var l *verify.Loaded
		return *l, nil
	},
	"abort": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		signal(syscall.SIGABRT)
		return verify.Loaded{}, nil
	},
	"killed": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		signal(syscall.SIGKILL)
		return verify.Loaded{}, nil
	},
	"panic": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) { panic("a defect") },
	"crash when freed": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		l := sound()
		l.Close = func() error { signal(syscall.SIGBUS); return nil }
		return l, nil
	},
	"sleep": func(_ artifact.Ref, _ json.RawMessage, args []string) (verify.Loaded, error) {
		if err := os.WriteFile(args[0]+".new", []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
			return verify.Loaded{}, err
		}
		if err := os.Rename(args[0]+".new", args[0]); err != nil {
			return verify.Loaded{}, err
		}
		time.Sleep(time.Minute)
		return sound(), nil
	},
	"nap": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		time.Sleep(time.Second)
		return sound(), nil
	},
	"memory": func(_ artifact.Ref, _ json.RawMessage, args []string) (verify.Loaded, error) {
		size, err := strconv.Atoi(args[0])
		if err != nil {
			return verify.Loaded{}, err
		}
		l := sound()
		held := take(size << 20)
		l.Close = func() error { held[0] = 0; return nil }
		return l, nil
	},
	"hog": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		var all [][]byte
		for range 1000 { // a gigabyte in some seconds, where nobody ends it
			all = append(all, take(1<<20))
			time.Sleep(5 * time.Millisecond)
		}
		return verify.Loaded{}, fmt.Errorf("took %d MiB", len(all))
	},
	"limits": func(artifact.Ref, json.RawMessage, []string) (verify.Loaded, error) {
		l := sound()
		l.Warnings = limits()
		return l, nil
	},
	"real": loadReal,
}

// take takes memory for good: pages that nobody wrote to are none.
func take(bytes int) []byte {
	b := make([]byte, bytes)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

// limits reads what the system says of this process.
func limits() []string {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(text))
	}
	all := []string{"oom_score_adj " + read("/proc/self/oom_score_adj")}
	for line := range strings.Lines(read("/proc/self/limits")) {
		if strings.HasPrefix(line, "Max core") || strings.HasPrefix(line, "Max cpu") {
			all = append(all, strings.Join(strings.Fields(line)[:5], " "))
		}
	}
	tasks, _ := filepath.Glob("/proc/self/task/*/stat")
	for _, task := range tasks {
		_, fields, _ := strings.Cut(read(task), ") ") // the name before it can hold spaces
		all = append(all, "nice "+strings.Fields(fields)[16])
	}
	return all
}

// sound is a version that answers as its golden.json says.
func sound() verify.Loaded {
	return verify.Loaded{
		Signature: scoring.Signature{
			Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, 4}}, {Name: "s", Datatype: scoring.Bytes, Shape: []int64{-1}}},
			Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.FP16, Shape: []int64{-1, 2}}},
		},
		Manifest: artifact.Manifest{
			Name: "m", Version: 3, Digest: "sha256:abc", Description: "A model.", Licence: "Apache-2.0",
			Provenance: artifact.Provenance{Source: "here", Script: "train.py", Framework: "scikit-learn 1.9.1", Created: "2026-11-23"},
			Pipeline:   pipeline.Spec{Text: &pipeline.TextSpec{}},
			Metrics:    map[string]float64{"accuracy": 0.9},
		},
		Size:  1234,
		Files: fstest.MapFS{"golden.json": {Data: []byte(`{"tolerance": 0.01, "cases": [{"instance": "a", "matches": [{"id": "a", "score": 0.5}]}]}`)}},
		Asker: asker{score: 0.5078125},
		Close: func() error { return nil },
	}
}

// asker answers everything with one match, or with its own inputs.
type asker struct {
	score float32
	err   error
}

func (a asker) Predict(context.Context, []scoring.Instance, scoring.Parameters) ([]scoring.Prediction, error) {
	time.Sleep(2 * time.Millisecond)
	return []scoring.Prediction{scoring.Matches{Matches: []scoring.Match{{ID: "a", Score: a.score}}}}, a.err
}

func (a asker) Infer(_ context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
	if got := fmt.Sprint(inputs[0].Shape, len(inputs[0].Data), inputs[1].Shape, len(inputs[1].Strings)); got != "[1 4] 16 [1] 1" {
		return nil, scoring.Errorf(scoring.Invalid, "inputs are %s", got)
	}
	time.Sleep(2 * time.Millisecond)
	return inputs, a.err
}
