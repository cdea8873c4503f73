package events

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/onda-serving/onda/app/cli/command"
)

// confirm asks before so many letters are put back. The error says that it shall not be done.
func (s *session) confirm(ctx context.Context, many string) error {
	if !s.somebody() {
		return &command.ExitError{Code: command.Failed, Text: many + " would be put back, and there is nobody to ask: standard input is no terminal: add --yes"}
	}
	yes, err := s.ask(ctx, "Put back "+many+"?")
	switch {
	case err != nil:
		return &command.ExitError{Code: command.Interrupted, Text: "interrupted: nothing was put back"}
	case !yes:
		return &command.ExitError{Code: command.Failed, Text: "nothing was put back: answer y, or add --yes"}
	default:
		return nil
	}
}

// somebody says whether there is anybody to ask. A pipe that stays open, as scripts and jobs
// have it, never answers: to wait for it would be to hang.
func (s *session) somebody() bool {
	f, ok := s.in.(*os.File)
	return !ok || term.IsTerminal(int(f.Fd()))
}

// ask asks a question and says whether the answer is yes. The error is that of the context.
func (s *session) ask(ctx context.Context, question string) (yes bool, err error) {
	fmt.Fprintf(s.err, "%s [y/N] ", question)
	line := make(chan string, 1)
	// Nothing ends the read of a terminal but its user: after Ctrl-C it is left behind, and
	// ends with the process.
	go func() {
		text, _ := bufio.NewReader(io.LimitReader(s.in, 64)).ReadString('\n')
		line <- text
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.err)
		return false, ctx.Err()
	case answer := <-line:
		if !strings.HasSuffix(answer, "\n") {
			fmt.Fprintln(s.err) // nobody is there who ended the line
		}
		answer = strings.ToLower(strings.TrimSpace(answer))
		return answer == "y" || answer == "yes", nil
	}
}
