package score

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/onda-serving/onda/app/offline"
)

// every is the time between two lines of progress where there is no terminal.
const every = 10 * time.Second

// meter shows how far a run is: a bar on a terminal, a line now and then elsewhere.
type meter struct {
	out    io.Writer
	name   string
	lively bool
	bar    *progressbar.ProgressBar
	began  time.Time
	told   time.Time
	// from is where the input stood when the first group was done.
	from int64
}

func newMeter(out io.Writer, name string) *meter {
	f, ok := out.(*os.File)
	now := time.Now()
	return &meter{out: out, name: name, lively: ok && term.IsTerminal(int(f.Fd())), began: now, told: now}
}

// tell takes what was done.
func (m *meter) tell(p offline.Progress) {
	if m.from == 0 {
		m.from = p.Done
	}
	if !m.lively {
		if time.Since(m.told) >= every {
			m.told = time.Now()
			fmt.Fprintln(m.out, m.line(p))
		}
		return
	}
	if m.bar == nil {
		m.bar = progressbar.NewOptions64(max(p.Total, 1),
			progressbar.OptionSetWriter(m.out), progressbar.OptionFullWidth(), progressbar.OptionUseANSICodes(true),
			progressbar.OptionThrottle(65*time.Millisecond), progressbar.OptionSetRenderBlankState(true))
	}
	m.bar.Describe(m.speed(p))
	_ = m.bar.Set64(min(p.Done, p.Total)) // it complains of nothing but more than all
}

// speed says rows, errors and rows a second.
func (m *meter) speed(p offline.Progress) string {
	rate := float64(p.Rows-p.Resumed) / max(time.Since(m.began).Seconds(), 1e-3)
	return fmt.Sprintf("%s, %s, %.0f rows/s", plural(p.Rows, "row"), plural(p.Errors, "error"), rate)
}

// line is [meter.speed] with the time that is left.
func (m *meter) line(p offline.Progress) string {
	line := fmt.Sprintf("%s: %s", m.name, m.speed(p))
	if p.Done > m.from && p.Total >= p.Done {
		left := time.Duration(float64(time.Since(m.began)) * float64(p.Total-p.Done) / float64(p.Done-m.from))
		line += fmt.Sprintf(", %d %%, about %s left", 100*p.Done/p.Total, left.Round(time.Second))
	}
	return line
}

// end leaves a line.
func (m *meter) end(p offline.Progress) {
	if m.bar != nil {
		_ = m.bar.Clear() // what stays is the line below
	}
	text := m.name + ": " + m.speed(p)
	if p.Resumed > 0 {
		text += fmt.Sprintf(" (%s of an earlier run)", plural(p.Resumed, "row"))
	}
	fmt.Fprintln(m.out, text)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// plural counts things.
func plural(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return number(n) + " " + thing
}
