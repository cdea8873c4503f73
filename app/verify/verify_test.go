package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/golden"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

func TestReport(t *testing.T) {
	t.Parallel()
	c := started(t, "sound")
	c.Settings = json.RawMessage(`{"threads":1}`)
	got, err := c.Check(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if got.RunMS < 2 || got.RunMS > 2000 || got.LoadMS < 0 || got.LoadMS > 2000 {
		t.Errorf("it took %v ms to load and %v ms to run, want less than seconds, and at least 2 ms to run", got.LoadMS, got.RunMS)
	}
	if got.MemoryBytes > 64<<20 {
		t.Errorf("it took %d bytes, and holds nothing", got.MemoryBytes)
	}
	got.LoadMS, got.RunMS, got.MemoryBytes = 0, 0, 0
	want := verify.Report{
		Digest: "sha256:abc", SizeBytes: 1234,
		Inputs:   []catalog.Tensor{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 4}}, {Name: "s", Datatype: "BYTES", Shape: []int64{-1}}},
		Outputs:  []catalog.Tensor{{Name: "y", Datatype: "FP16", Shape: []int64{-1, 2}}},
		Pipeline: "text", Framework: "scikit-learn 1.9.1", Description: "A model.", Licence: "Apache-2.0",
		Provenance: artifact.Provenance{Source: "here", Script: "train.py", Framework: "scikit-learn 1.9.1", Created: "2026-11-23"},
		Metrics:    map[string]float64{"accuracy": 0.9},
		Golden:     golden.Result{Cases: 1, MaxDifference: 0.0078125},
		Warnings:   []string{`loaded m@3 of /srv/models/m/3 with {"threads":1}`},
	}
	if a, b := marshal(t, got), marshal(t, want); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReportWithoutGoldenInputs(t *testing.T) {
	t.Parallel()
	const missing = "there is no golden.json: nothing shows that the answers are those of the model's maker"
	const untried = "it did not run on a row of zeros, and has no golden inputs: nothing shows that it runs: "
	tests := []struct {
		mode     string
		warnings []string
		ran      bool
	}{
		{"no golden", []string{missing}, true},
		{"no golden and no run", []string{missing, untried + "zeros are no lengths"}, false},
		{"too large for zeros", []string{missing, untried + `input "x" of shape [1099511627776] is too large to try`}, false},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			got, err := started(t, tt.mode).Check(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Warnings, tt.warnings) || (got.RunMS > 0) != tt.ran || got.Golden != (golden.Result{}) {
				t.Errorf("got %+v, want the warnings %q, and a time: %v", got, tt.warnings, tt.ran)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const killed = ", which is what the system does when it is short of memory"
	tests := []struct {
		mode string
		code scoring.Code
		want string
	}{
		{"refused", scoring.Invalid, "m@3: warm up with 8 rows: the model failed: in m/3/model.onnx and m"},
		{"missing", scoring.NotFound, "m@3: open m/3: no such file or directory"},
		{"wrong", scoring.Invalid, `m@3: golden.json: cases[0]: match "a" has 0.25, want 0.5 (tolerance 0.01)`},
		{"bad golden", scoring.Invalid, "m@3: golden.json: tolerance is missing: want how far a score may be from the expected one, such as 0.001"},
		{"fails to close", scoring.Invalid, "m@3: free the model: still in use"},
		{"segmentation fault", scoring.Invalid, "m@3: loading it ended the process with signal: segmentation fault"},
		{"nil pointer", scoring.Invalid, "m@3: loading it ended the process with signal: segmentation fault"},
		{"abort", scoring.Invalid, "m@3: loading it ended the process with signal: aborted"},
		{"killed", scoring.Invalid, "m@3: loading it ended the process with signal: killed" + killed},
		{"crash when freed", scoring.Invalid, "m@3: loading it ended the process with signal: bus error"},
		{"crash after the report", scoring.Invalid, "m@3: loading it ended the process with signal: killed" + killed},
		{"panic", scoring.Invalid, "m@3: loading it ended the process with exit status 2"},
		{"exit", scoring.Invalid, "m@3: loading it ended the process with exit status 3"},
		{"refuse", scoring.Conflict, "m@3: no"},
		{"silent", scoring.Internal, "internal error: the request was not answered; the server's log has the details"},
		{"garbage", scoring.Internal, "internal error: the request was not answered; the server's log has the details"},
		{"empty", scoring.Internal, "internal error: the request was not answered; the server's log has the details"},
		{"flood", scoring.Internal, "internal error: the request was not answered; the server's log has the details"},
		{"no loader", scoring.Internal, "internal error: the request was not answered; the server's log has the details"},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			report, err := started(t, tt.mode).Check(t.Context(), ref)
			e := scoring.AsError(err)
			if e == nil || e.Code != tt.code || e.Message != tt.want {
				t.Errorf("got %+v, %v\nwant %s: %s", report, err, tt.code, tt.want)
			}
		})
	}
}

func TestLongErrorsAreCut(t *testing.T) {
	t.Parallel()
	_, err := started(t, "endless text").Check(t.Context(), ref)
	if got := scoring.AsError(err).Message; len(got) > 5000 || !strings.HasSuffix(got, "ää...") {
		t.Errorf("got %d bytes that end with %q", len(got), got[max(0, len(got)-10):])
	}
}

func TestWhatIsPrintedBeforeTheReportIsPassedOver(t *testing.T) {
	t.Parallel()
	if report, err := started(t, "noise").Check(t.Context(), ref); err != nil || report.Digest != "sha256:a" {
		t.Errorf("got %+v, %v", report, err)
	}
}

func TestStderrGoesToTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := started(t, "exit")
	c.Log = zerolog.New(&log)
	if _, err := c.Check(t.Context(), ref); err == nil || strings.Contains(err.Error(), "rather") {
		t.Errorf("got %v, want an error without what the child says", err)
	}
	var line struct{ Level, Model, Stderr, Error string }
	if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Level != "warn" || line.Model != "m" || line.Stderr != "I had rather not\n" || line.Error != "exit status 3" {
		t.Errorf("logged %s (%v)", log.Bytes(), err)
	}
	log.Reset()
	c = started(t, "flood")
	c.Log = zerolog.New(&log)
	if _, err := c.Check(t.Context(), ref); err == nil {
		t.Error("a report behind megabytes was found")
	}
	if err := json.Unmarshal(log.Bytes(), &line); err != nil || len(line.Stderr) != 4096 || !strings.HasSuffix(line.Stderr, "y\nthe end") {
		t.Errorf("logged %d bytes of what the child said, want the last 4096", len(line.Stderr))
	}
}

func TestNoSuchCommand(t *testing.T) {
	t.Parallel()
	c := verify.Child{Command: []string{filepath.Join(t.TempDir(), "none")}, Log: zerolog.Nop()}
	if _, err := c.Check(t.Context(), ref); scoring.CodeOf(err) != scoring.Internal || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want Internal with its cause", err)
	}
}

// pidIn waits for a child to write its process id.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			pid, err := strconv.Atoi(string(text))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the child did not begin to load")
	return 0
}

// alive says whether a process runs: it is neither gone nor a zombie.
func alive(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, state, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

// gone fails the test where a process, or what is left of it, is there after a check.
func gone(t *testing.T, pid int) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err == nil {
		t.Errorf("process %d is still there after the check", pid)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	c := started(t, "sleep", file)
	c.Timeout = 1500 * time.Millisecond
	start := time.Now()
	_, err := c.Check(t.Context(), ref)
	if got, want := scoring.AsError(err).Message, "m@3: loading it took longer than 1.5s"; got != want || scoring.CodeOf(err) != scoring.Invalid {
		t.Errorf("got %v, want %q", err, want)
	}
	if took := time.Since(start); took < c.Timeout || took > 20*time.Second {
		t.Errorf("it took %s, want little more than %s", took, c.Timeout)
	}
	gone(t, pidIn(t, file))
}

func TestTimeoutOfAChildWhosePipesLiveOn(t *testing.T) {
	t.Parallel()
	c := started(t, "pipe")
	c.Timeout = 500 * time.Millisecond
	start := time.Now()
	_, err := c.Check(t.Context(), ref)
	if took := time.Since(start); took > 4*time.Second || !strings.Contains(err.Error(), "longer than 500ms") {
		t.Errorf("after %s got %v", took, err)
	}
}

func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := started(t, "sleep", file).Check(ctx, ref)
		done <- err
	}()
	pid := pidIn(t, file)
	cancel()
	if err := <-done; scoring.CodeOf(err) != scoring.Canceled {
		t.Errorf("got %v, want Canceled", err)
	}
	gone(t, pid)
	deadline, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := started(t, "sound").Check(deadline, ref); scoring.CodeOf(err) != scoring.Expired {
		t.Errorf("with a spent budget: got %v, want Expired", err)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells of memory")
	}
	c := started(t, "memory", "48")
	c.MaxMemory = 2 << 30
	report, err := c.Check(t.Context(), ref)
	if err != nil || report.MemoryBytes < 48<<20 || report.MemoryBytes > 160<<20 { // the race detector takes as much again
		t.Errorf("got %d bytes (%v), want 48 MiB and little more", report.MemoryBytes, err)
	}
	c = started(t, "hog")
	c.MaxMemory = 300 << 20
	_, err = c.Check(t.Context(), ref)
	found := regexp.MustCompile(`^m@3: loading it took (\d+) MiB of memory: at most 300 MiB are allowed$`).FindStringSubmatch(scoring.AsError(err).Message)
	if found == nil || scoring.CodeOf(err) != scoring.TooLarge {
		t.Fatalf("got %v", err)
	}
	if used, err := strconv.Atoi(found[1]); err != nil || used < 300 || used > 900 {
		t.Errorf("it was ended at %d MiB, want soon after 300", used)
	}
}

func TestChildIsConfined(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux")
	}
	c := started(t, "limits")
	c.Timeout = 50 * time.Second
	report, err := c.Check(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	seconds := strconv.Itoa(60 * runtime.NumCPU())
	for _, want := range []string{"oom_score_adj 1000", "Max core file size 0", "Max cpu time " + seconds + " " + seconds, "nice 10"} {
		if !slices.Contains(report.Warnings, want) {
			t.Errorf("the child has %q, want %q", report.Warnings, want)
		}
	}
	if slices.ContainsFunc(report.Warnings, func(s string) bool { return strings.HasPrefix(s, "nice ") && s != "nice 10" }) {
		t.Errorf("the child has %q, want 10 for every thread", report.Warnings)
	}
}

func TestChildDiesWithItsParent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	parent := exec.CommandContext(t.Context(), binary, command, "parent", file)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := pidIn(t, file)
	if !alive(pid) {
		t.Fatal("the child is not alive")
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the child %d lives on without its parent", pid)
		}
	}
}

// TestThreadsOfTheParentMayEnd has threads end all the time, as any library's may: they are
// not the child's parents.
func TestThreadsOfTheParentMayEnd(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() {
		for ctx.Err() == nil {
			var threads sync.WaitGroup
			for range 8 {
				threads.Go(func() {
					runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
					time.Sleep(time.Millisecond)
				})
			}
			threads.Wait()
		}
	})
	defer busy.Wait()
	defer stop() // after the checks, which are waited for first
	var checks sync.WaitGroup
	defer checks.Wait()
	for range 16 {
		checks.Go(func() {
			if _, err := started(t, "nap").Check(t.Context(), ref); err != nil {
				t.Errorf("got %v, want a report", err)
			}
		})
	}
}
