package models_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/models"
)

// terminal is a pseudo-terminal: what is written to it can be read as a person would see it.
type terminal struct {
	*os.File

	shown chan string
}

// newTerminal opens a terminal of so many columns.
func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: columns}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown := make(chan string, 1)
	go func() {
		var all bytes.Buffer
		// The master of a terminal that was closed fails with EIO.
		if _, err := io.Copy(&all, master); err != nil && !errors.Is(err, syscall.EIO) && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
		master.Close()
		shown <- strings.ReplaceAll(all.String(), "\r\n", "\n")
	}()
	return &terminal{slave, shown}
}

// see closes the terminal and gives what it got.
func (t *terminal) see() string {
	t.Close()
	return <-t.shown
}

func (o *onda) onTerminal(d models.Defaults, stdout, stderr io.Writer, args ...string) int {
	d.Server = o.URL
	return command.Run(context.Background(), command.Group("onda", "", models.New(d)), append([]string{"models", "--actor", "alice"}, args...), stdout, stderr)
}

func TestColours(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	const coloured = "\x1b[1mNAME\x1b[0m          \x1b[1mLIVE\x1b[0m  \x1b[1mCANARY\x1b[0m  \x1b[1mVERSIONS\x1b[0m  \x1b[1mTRAFFIC\x1b[0m  \x1b[1mSHADOW\x1b[0m  \x1b[1mROLLOUT\x1b[0m  \x1b[1mIN SYNC\x1b[0m\n" +
		"faq-matching  1     -       1-2       -        -       -        \x1b[32myes\x1b[0m\n"
	const plain = "NAME          LIVE  CANARY  VERSIONS  TRAFFIC  SHADOW  ROLLOUT  IN SYNC\nfaq-matching  1     -       1-2       -        -       -        yes\n"
	for _, test := range []struct {
		name string
		d    models.Defaults
		want string
	}{
		{"terminal", models.Defaults{}, coloured},
		{"NO_COLOR", models.Defaults{NoColor: true}, plain},
		{"dumb terminal", models.Defaults{Dumb: true}, plain},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			screen := newTerminal(t, 100)
			code := o.onTerminal(test.d, screen.File, screen.File, "list")
			if got := screen.see(); code != 0 || got != test.want {
				t.Errorf("got %d and\n%q\nwant 0 and\n%q", code, got, test.want)
			}
		})
	}
}

// TestNarrowTerminal cuts lines instead of wrapping them.
func TestNarrowTerminal(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.does("label", "faq-matching", "live", "2", "--reason", "the answers to questions about prices are better, as 日本語 says")
	screen := newTerminal(t, 64)
	if code := o.onTerminal(models.Defaults{NoColor: true}, screen.File, io.Discard, "history", "faq-matching", "--limit", "2"); code != 0 {
		t.Errorf("got %d", code)
	}
	const want = `REVISION  WHEN     ACTOR  ACTION  CHANGE          REASON
4         2 h ago  alice  label   live 1 -> 2     the answers t…
3         2 h ago  alice  label   live none -> 1  first one
`
	if got := screen.see(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBars has bars while something goes on, and a line for each stage afterwards.
func TestBars(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	broken := false
	o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && !broken {
			broken = true
			breakOff(r)
		}
		return false
	}
	o.with(func() {
		o.progress = []string{`{"stage": "waiting"}`, `{"stage": "fetch", "done": 0, "total": 0}`, `{"stage": "fetch", "done": 50, "total": 100}`, `{"stage": "load"}`}
	})
	dir := folder(t, map[string]string{"model.onnx": strings.Repeat("0123456789abcdef", 1<<16), "faq.json": "[]"})
	screen := newTerminal(t, 100)
	if code := o.onTerminal(models.Defaults{}, io.Discard, screen.File, "register", "faq-matching", "--from", dir); code != 0 {
		t.Errorf("got %d", code)
	}
	got := screen.see()
	for _, want := range []string{"reading 2 files, 1 MiB   0% |", "sending 2 of 2 files, 1 MiB   0% |", "sending 2 of 2 files, 1 MiB 100% |", "MiB/s)", "; trying again\n", "the server fetches the files   0% |"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(got), "\n") {
		lines = append(lines, line[strings.LastIndex(line, "\x1b[K")+1:]) // what stays of a line
	}
	want := []string{
		"[Kreading 2 files, 1 MiB", "faq.json: the connection", "[Ksending 2 of 2 files, 1 MiB", "[Kthe server fetches the files", "[Kthe server loads the version and tries it", "It gets requests with",
	}
	if len(lines) != len(want) {
		t.Fatalf("got the lines %q, want %d", lines, len(want))
	}
	for i, line := range lines {
		if i == 1 && strings.HasPrefix(line, "[Kfaq.json: the") || i == 1 && strings.HasPrefix(line, "[Kmodel.onnx: the") {
			continue
		}
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("line %d: got %q, want %q", i+1, line, want[i])
		}
	}
}

// TestLivelyWatch writes one line again and again.
func TestLivelyWatch(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(2)
	o.does("rollout", "faq-matching", "2")
	o.script(
		o.saw("r4", 0, "wait", "12 requests: waiting for 88 more requests, and for the end of a text that does not fit into the line of this terminal"),
		o.saw("r4", 0, "wait", "70 requests"),
		func() { o.judge(func(m *catalog.Model) error { return m.Promote("fine", time.Now()) }) },
	)
	screen := newTerminal(t, 60)
	if code := o.onTerminal(models.Defaults{}, screen.File, screen.File, "rollout", "faq-matching", "--watch", "--every", "5ms"); code != 0 {
		t.Errorf("got %d", code)
	}
	const want = "\r\x1b[Kversion 2: step 1 of 3 (5 %)" +
		"\r\x1b[Kversion 2: wait: 12 requests: waiting for 88 more requests…" +
		"\r\x1b[Kversion 2: wait: 70 requests\n" +
		"faq-matching: version 2 is live: fine\n"
	if got := screen.see(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
