package score_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/score"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/lifecycle"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// TestMain is the program itself where a test starts it again, to kill it.
func TestMain(m *testing.M) {
	if os.Getenv("ONDA_TEST_SCORE") == "" {
		goleak.VerifyTestMain(m)
		return
	}
	root := command.Group("onda", "Onda.", score.New(open))
	os.Exit(command.Run(context.Background(), root, os.Args[1:], os.Stdout, os.Stderr))
}

func open(ctx context.Context, _ *cobra.Command, ref scoring.ModelRef) (score.Engine, score.Defaults, error) {
	cfg, _, err := config.Load()
	if err != nil {
		return nil, score.Defaults{}, err
	}
	o, err := lifecycle.OpenOffline(ctx, cfg, ref, zerolog.Nop())
	return o, score.Defaults{Concurrency: 2, MaxRow: int(cfg.MaxBody), MaxInstances: cfg.MaxInstances}, err
}

// program makes the command line of a run in a process of its own.
func program(t *testing.T, library string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"score"}, args...)...)
	cmd.Env = append(os.Environ(), "ONDA_TEST_SCORE=1", "ONDA_MODELS_DIR=../../../models", "ONDA_ONNXRUNTIME_LIBRARY="+library)
	return cmd
}

// TestKilled kills runs at any moment: what comes out in the end are the bytes of a run that
// nobody killed. Some rows are bad ones, and some are missing their text.
func TestKilled(t *testing.T) {
	t.Parallel()
	library := onnxtest.Library(t)
	dir := t.TempDir()
	var b strings.Builder
	for i := range 6000 {
		switch {
		case i%97 == 5:
			b.WriteString("{\"nothing\": 1}\n")
		case i%31 == 3:
			fmt.Fprintf(&b, "{\"id\": \"q%d\", \"text\": \"\"}\n", i)
		default:
			fmt.Fprintf(&b, "{\"id\": \"q%d\", \"text\": \"how do I compare array number %d?\"}\n", i, i%500)
		}
	}
	input := filepath.Join(dir, "questions.jsonl")
	if err := os.WriteFile(input, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"jsonl", "parquet"} {
		whole, torn := filepath.Join(dir, "whole."+kind), filepath.Join(dir, "torn."+kind)
		args := []string{"--model", "faq-matching", "--input", input, "--output"}
		begin := time.Now()
		out, err := program(t, library, append(args, whole)...).CombinedOutput()
		if code(err) != 2 || !strings.Contains(string(out), "rows could not be scored") {
			t.Fatalf("got %v and %s, want exit code 2", err, out)
		}
		took := time.Since(begin)
		killed := 0
		for range 3 {
			cmd := program(t, library, append(args, torn)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			wait := took/4 + rand.N(took/2)
			timer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
			if code(cmd.Wait()) == -1 {
				killed++
			}
			timer.Stop()
			if _, err := os.Stat(torn); err == nil {
				break
			}
		}
		if _, err := os.Stat(torn); err != nil {
			if out, err := program(t, library, append(args, torn)...).CombinedOutput(); code(err) != 2 {
				t.Fatalf("the last run: %v and %s", err, out)
			}
		}
		same(t, whole, torn)
		t.Logf("%s: killed %d times", kind, killed)
		for _, left := range []string{".part", ".progress", ".progress.new", ".parquet.part"} {
			if _, err := os.Stat(torn + left); err == nil {
				t.Errorf("%s is left", torn+left)
			}
		}
	}
}

func same(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(x) == 0 || !bytes.Equal(x, y) {
		t.Errorf("%d and %d bytes, want the same", len(x), len(y))
	}
}

// code is the exit code of a process; -1 where a signal ended it.
func code(err error) int {
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return ended.ExitCode()
	}
	return 0
}
