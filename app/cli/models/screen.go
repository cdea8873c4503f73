package models

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// screen is where a command writes: results go to out, and progress and notes to notes.
type screen struct {
	out, notes io.Writer
	// width of out in columns; 0 where it is no terminal.
	width int
	// color says that out shows colours.
	color bool
	// lively says that notes is a terminal on which a line can be written again.
	lively bool
	// open says that such a line stands there and is not ended.
	open bool
}

// newScreen looks at what the output is.
func newScreen(cmd *cobra.Command, s *settings) *screen {
	sc := &screen{out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr()}
	sc.width = columns(sc.out)
	sc.color = sc.width > 0 && !s.NoColor && !s.Dumb
	sc.lively = columns(sc.notes) > 0 && !s.Dumb
	return sc
}

// columns of a terminal; 0 for anything else.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	const usual = 80
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return usual
}

// print writes a line of the result.
func (s *screen) print(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
}

// note writes a line beside the result.
func (s *screen) note(format string, args ...any) {
	s.endLine()
	fmt.Fprintf(s.notes, format+"\n", args...)
}

// update writes a line beside the result over the one before; only where the screen is
// lively.
func (s *screen) update(text string) {
	fmt.Fprintf(s.notes, "\r\x1b[K%s", cut(text, columns(s.notes)-1))
	s.open = true
}

// endLine leaves the line that [screen.update] wrote.
func (s *screen) endLine() {
	if s.open {
		fmt.Fprintln(s.notes)
		s.open = false
	}
}

// style is how a cell looks: the number of an ANSI colour or attribute.
type style int

const (
	plain  style = 0
	bold   style = 1
	dim    style = 2
	red    style = 31
	green  style = 32
	yellow style = 33
)

// paint gives text a style where there are colours.
func (s *screen) paint(text string, as style) string {
	if !s.color || as == plain || text == "" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", as, text)
}

// cut shortens text to so many columns.
func cut(text string, columns int) string {
	if uniseg.StringWidth(text) <= columns {
		return text
	}
	var b strings.Builder
	left := columns - 1 // for the mark
	for rest := uniseg.NewGraphemes(text); rest.Next() && rest.Width() <= left; {
		b.WriteString(rest.Str())
		left -= rest.Width()
	}
	if columns < 1 {
		return ""
	}
	return b.String() + "…"
}
