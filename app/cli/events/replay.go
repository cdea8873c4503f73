package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/deadletters"
)

// replay makes the command replay.
func (s *settings) replay() *cobra.Command {
	f, all, yes, again := &filter{}, false, false, false
	cmd := s.command("replay ID... | --code CODE --model NAME ... | --all", "put dead letters back, to be answered anew", command.AtLeast(0), func(ctx context.Context, s *session, args []string) error {
		chosen, err := f.read(time.Now())
		if err != nil {
			return err
		}
		switch {
		case len(args) > 0 && (all || !chosen.Empty()):
			return badArgument("want ids or flags that choose letters, not both")
		case len(args) > 0:
			return s.replayEach(ctx, args, again)
		case chosen.Empty() && !all:
			return badArgument("which ones? Want their ids, flags such as --code or --model, or --all")
		case !chosen.Empty() && all:
			return badArgument("--all takes no other flags that choose letters")
		}
		return s.replayMany(ctx, client.Replays{Filter: chosen, All: all, Again: again}, yes)
	})
	f.declare(s, cmd)
	cmd.Flags().BoolVar(&all, "all", false, "put all of them back")
	cmd.Flags().BoolVar(&again, "again", false, "those that were put back before, too: they are answered once more")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before many are put back; needed where standard input is no terminal")
	cmd.Example = "  onda events deadletters replay 0f3a9c2be1d84a57b6a1c0d2e3f4a5b6\n  onda events deadletters replay --code NotFound --model faq-matching"
	cmd.ValidArgsFunction = s.letters(deadletters.Replayed)
	return cmd
}

// replayEach puts letters back one by one. One that fails does not keep the others.
func (s *session) replayEach(ctx context.Context, ids []string, again bool) error {
	var counts deadletters.Counts
	for _, id := range ids {
		result, err := s.client.Replay(ctx, id, again)
		switch {
		case err != nil && (len(ids) == 1 || !ofLetter(err)):
			return s.sum(counts, err)
		case err != nil:
			result = deadletters.Result{ID: id, Outcome: deadletters.Failed, Error: err.Error()}
			counts.Failed++
		case result.Outcome == deadletters.Skipped:
			counts.Skipped++
		default:
			counts.Replayed++
		}
		if err := s.tell(result); err != nil {
			return err
		}
	}
	return s.sum(counts, nil)
}

// ofLetter says whether a failure is of one letter, and not of all.
func ofLetter(err error) bool {
	no, ok := errors.AsType[*client.Error](err)
	return ok && no.Status < http.StatusInternalServerError && no.Status != http.StatusUnauthorized && no.Status != http.StatusForbidden
}

// replayMany puts back what a filter takes, after a look at how many that is.
func (s *session) replayMany(ctx context.Context, ask client.Replays, yes bool) error {
	if !yes {
		n, more, err := s.number(ctx, ask)
		switch {
		case err != nil:
			return err
		case n == 0:
			fmt.Fprintln(s.err, "no dead letters to put back")
			return nil
		}
		text := letters(n)
		if more {
			text = "more than " + text
		}
		if err := s.confirm(ctx, text); err != nil {
			return err
		}
	}
	var told error
	counts, err := s.client.ReplayAll(ctx, ask, func(result deadletters.Result) {
		if told == nil {
			told = s.tell(result)
		}
	})
	if told != nil {
		return told
	}
	return s.sum(counts, err)
}

// number counts the letters that would be put back, up to a page of them.
func (s *session) number(ctx context.Context, ask client.Replays) (n int, more bool, err error) {
	states := []deadletters.State{ask.State}
	switch {
	case ask.State == deadletters.Replayed && !ask.Again:
		return 0, false, nil
	case ask.State == "" && !ask.Again:
		states = []deadletters.State{deadletters.Waiting, deadletters.Replaying}
	}
	for _, state := range states {
		ask.State = state
		page, _, err := s.client.Letters(ctx, ask.Filter, deadletters.MaxLimit, "")
		if err != nil {
			return 0, false, err
		}
		n += len(page.Letters)
		more = more || page.Cursor != ""
	}
	return n, more, nil
}

// tell writes a result: a line of JSON for programs, or one for people.
func (s *session) tell(r deadletters.Result) error {
	if s.settings.output == "json" {
		text, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode result: %w", err)
		}
		_, err = fmt.Fprintf(s.out, "%s\n", text)
		return err
	}
	text := map[deadletters.Outcome]string{
		deadletters.PutBack: fmt.Sprintf("put back, as replay %d", r.Replay),
		deadletters.Skipped: "skipped: it was put back before; --again does it once more",
		deadletters.Failed:  "failed: " + r.Error,
	}[r.Outcome]
	if r.Note != "" && r.Outcome == deadletters.PutBack {
		text += "; " + r.Note
	}
	_, err := fmt.Fprintf(s.out, "%s  %s\n", client.Clean(r.ID), client.Clean(text))
	return err
}

// sum says how it went in all. A failure of any letter is one of the command.
func (s *session) sum(counts deadletters.Counts, err error) error {
	text := fmt.Sprintf("%s put back, %d skipped, %d failed", letters(counts.Replayed), counts.Skipped, counts.Failed)
	switch {
	case err != nil && counts == deadletters.Counts{}:
		return err
	case err != nil:
		fmt.Fprintln(s.err, text)
		return err
	case counts.Failed > 0:
		return &command.ExitError{Code: command.Failed, Text: text}
	default:
		fmt.Fprintln(s.err, text)
		return nil
	}
}

func letters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}
