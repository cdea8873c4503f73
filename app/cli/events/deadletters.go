package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/deadletters"
)

// filter is the flags that choose letters.
type filter struct{ code, model, state, source, since, until string }

// declare adds the flags to a command.
func (f *filter) declare(s *settings, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.code, "code", "", "only what failed with this code, such as NotFound")
	flags.StringVar(&f.model, "model", "", "only what is for this model")
	flags.StringVar(&f.state, "state", "", "only what is waiting, replaying or replayed")
	flags.StringVar(&f.source, "source", "", "only what this source sent")
	flags.StringVar(&f.since, "since", "", "only what failed since then: 2h for the last two hours, or a time such as 2026-01-31T12:00:00Z")
	flags.StringVar(&f.until, "until", "", "only what failed before: as --since has it")
	command.Complete(cmd, "code", command.OneOf(deadletters.Codes()...))
	command.Complete(cmd, "state", command.OneOf("waiting\tnot put back", "replaying\tbeing put back, or interrupted", "replayed\tput back"))
	command.Complete(cmd, "model", s.values(func(l deadletters.Letter) string { return l.Model }))
	command.Complete(cmd, "source", s.values(func(l deadletters.Letter) string { return l.RequestSource }))
	command.Complete(cmd, "since", command.OneOf("1h\tthe last hour", "24h\tthe last day"))
	command.Complete(cmd, "until", command.Nothing)
}

// read gives the filter that the flags make.
func (f *filter) read(now time.Time) (deadletters.Filter, error) {
	all := deadletters.Filter{Code: f.code, Model: f.model, State: deadletters.State(f.state), Source: f.source}
	var err error
	if all.Since, err = moment("since", f.since, now); err != nil {
		return all, err
	}
	if all.Until, err = moment("until", f.until, now); err != nil {
		return all, err
	}
	if f.code != "" && !slices.Contains(deadletters.Codes(), f.code) {
		return all, badArgument("--code %q: want one of %s", f.code, strings.Join(deadletters.Codes(), ", "))
	}
	if f.state != "" && !slices.Contains(deadletters.States(), all.State) {
		return all, badArgument("--state %q: want waiting, replaying or replayed", f.state)
	}
	return all, nil
}

// moment reads a time, or how long ago it was.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago).UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, badArgument("--%s %q: want how long ago, such as 2h, or a time such as 2026-01-31T12:00:00Z", flag, text)
	}
	return at, nil
}

// list makes the command list.
func (s *settings) list() *cobra.Command {
	f, limit, cursor := &filter{}, 0, ""
	cmd := s.command("list", "list dead letters, the newest first", command.Exactly(0), func(ctx context.Context, s *session, _ []string) error {
		chosen, err := f.read(time.Now())
		if err != nil {
			return err
		}
		if limit < 1 || limit > deadletters.MaxLimit {
			return badArgument("--limit %d: want 1 to %d", limit, deadletters.MaxLimit)
		}
		page, raw, err := s.client.Letters(ctx, chosen, limit, cursor)
		if err != nil {
			return err
		}
		return s.answer(raw, func() { s.showPage(page) })
	})
	f.declare(s, cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where another list ended")
	command.Complete(cmd, "limit", command.Nothing)
	command.Complete(cmd, "cursor", command.Nothing)
	cmd.Example = "  onda events deadletters list --since 24h\n  onda events deadletters list --code NotFound --model faq-matching --state waiting"
	return cmd
}

// answer shows a result: as the server wrote it, or as a table or text.
func (s *session) answer(raw []byte, show func()) error {
	if s.settings.output == "json" {
		_, err := fmt.Fprintf(s.out, "%s\n", bytes.TrimRight(raw, "\n"))
		return err
	}
	show()
	return nil
}

func (s *session) showPage(page *deadletters.Page) {
	if len(page.Letters) == 0 {
		fmt.Fprintln(s.out, "no dead letters")
		return
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tAT\tCODE\tMODEL\tSOURCE\tREQUEST\tSTATE\tREPLAYS\tERROR")
	for _, l := range page.Letters {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", cell(l.ID), when(l.At), cell(l.Code), cell(l.Model), cell(l.RequestSource), cell(l.RequestID), cell(string(l.State)), l.Replays, cell(l.Error))
	}
	t.Flush()
	if page.Cursor != "" {
		fmt.Fprintf(s.out, "There are more: add --cursor %s\n", client.Clean(page.Cursor))
	}
}

// cell is a text of a table: others wrote it, and it may be long.
func cell(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most-1]) + "…"
	}
	if text = client.Clean(text); text == "" {
		return "-"
	}
	return text
}

func when(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }

// show makes the command show.
func (s *settings) show() *cobra.Command {
	cmd := s.command("show ID", "show a dead letter with its event", command.Exactly(1), func(ctx context.Context, s *session, args []string) error {
		letter, raw, err := s.client.Letter(ctx, args[0])
		if err != nil {
			return err
		}
		return s.answer(raw, func() { s.showLetter(letter) })
	})
	cmd.ValidArgsFunction = s.letters("")
	return cmd
}

func (s *session) showLetter(l *deadletters.Letter) {
	by := map[string]string{deadletters.ByOnda: "Onda refused it", deadletters.BySidecar: "the sidecar gave it up"}[l.By]
	state := string(l.State)
	switch {
	case l.State == deadletters.Replayed:
		state += fmt.Sprintf(" %s, as replay %d", when(l.ReplayedAt), l.LastReplay)
	case l.State == deadletters.Replaying:
		state += fmt.Sprintf(", as replay %d", l.LastReplay)
	}
	if l.ReplayedBy != "" {
		state += ", by " + l.ReplayedBy
	}
	replay := ""
	if l.Replay > 0 {
		replay = fmt.Sprintf("it had been put back before, as replay %d", l.Replay)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, fact := range [][2]string{
		{"id", l.ID},
		{"at", when(l.At)},
		{"code", l.Code},
		{"error", l.Error},
		{"by", by},
		{"model", l.Model},
		{"source", l.RequestSource},
		{"request", l.RequestID},
		{"before", replay},
		{"state", state},
		{"replays", strconv.Itoa(l.Replays)},
		{"note", l.Note},
	} {
		if fact[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", fact[0], client.Clean(fact[1]))
		}
	}
	t.Flush()
	var text bytes.Buffer
	switch {
	case len(l.Original) > 0 && json.Indent(&text, l.Original, "", "  ") == nil:
		fmt.Fprintf(s.out, "\n%s\n", client.CleanLines(text.String()))
	case len(l.OriginalBytes) > 0:
		fmt.Fprintf(s.out, "\nThe event is %d bytes that are no CloudEvent in JSON; -o json has them in base64.\n", len(l.OriginalBytes))
	default:
		fmt.Fprintln(s.out, "\nThe event was not kept.")
	}
}

// completionTime bounds the wait for a server while somebody types.
const completionTime = time.Second

// newest lists the newest letters for the completion of a command line. A server that does not
// answer is no reason to say anything.
func (s *settings) newest(ctx context.Context) []deadletters.Letter {
	c, err := s.connect(completionTime)
	if err != nil {
		return nil
	}
	defer c.Close()
	const enough = 100
	page, _, err := c.Letters(ctx, deadletters.Filter{}, enough, "")
	if err != nil {
		return nil
	}
	return page.Letters
}

// values completes a flag with what the newest letters have.
func (s *settings) values(of func(deadletters.Letter) string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var all []string
		for _, l := range s.newest(cmd.Context()) {
			if value := client.Clean(of(l)); value != "" && value == of(l) {
				all = append(all, value)
			}
		}
		slices.Sort(all)
		return command.Begin(slices.Compact(all), prefix), cobra.ShellCompDirectiveNoFileComp
	}
}

// letters completes the IDs of the newest letters; a letter in the state but is left out.
func (s *settings) letters(but deadletters.State) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && strings.HasPrefix(cmd.Use, "show ") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []string
		for _, l := range s.newest(cmd.Context()) {
			if (but == "" || l.State != but) && !slices.Contains(args, l.ID) {
				all = append(all, client.Clean(l.ID)+"\t"+client.Clean(l.Code+" "+l.Model+" "+l.RequestSource+" "+l.RequestID))
			}
		}
		return command.Begin(all, prefix), cobra.ShellCompDirectiveNoFileComp
	}
}
