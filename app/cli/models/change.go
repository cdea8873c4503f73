package models

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/scoring"
)

// terms are the flags of every change.
type terms struct {
	reason   string
	accept   []string
	revision int64
}

// declare adds the flags to a command.
func (t *terms) declare(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&t.reason, "reason", "", "why, for the history")
	flags.StringSliceVar(&t.accept, "accept", nil, "what may be done although it looks like a mistake: "+strings.Join(acceptable, ", "))
	flags.Int64Var(&t.revision, "revision", 0, "refuse the change if the model is not at this revision any more; 0 takes the one at the start of the command")
	command.Complete(cmd, "reason", command.Nothing)
	command.Complete(cmd, "revision", command.Nothing)
	command.Complete(cmd, "accept", command.OneOf(acceptable...))
}

// acceptable is what can be accepted.
var acceptable = []string{catalog.AcceptSignature, catalog.AcceptRolledBack, catalog.AcceptDivergence, catalog.AcceptSlower}

// check says what is wrong with the flags.
func (t *terms) check() error {
	for _, what := range t.accept {
		if !slices.Contains(acceptable, what) {
			return badArgument("--accept %q: want one of %s", what, strings.Join(acceptable, ", "))
		}
	}
	if t.revision < 0 {
		return badArgument("--revision %d: want one that \"onda models show\" has", t.revision)
	}
	return nil
}

// task is a change to make.
type task struct {
	change client.Change
	terms  terms
	// wanted says in a few words what it is for.
	wanted string
	// urgent changes are made whatever the model is at, unless the terms say otherwise.
	urgent bool
}

// changing makes a command that changes a model: parse makes the task of the arguments.
func (s *settings) changing(use, short string, args cobra.PositionalArgs, parse func(args []string) (task, error)) *cobra.Command {
	t := &terms{}
	cmd := s.command(use, short, args, func(ctx context.Context, s *session, args []string) error {
		if err := checkModel(args[0]); err != nil {
			return err
		}
		task, err := parse(args)
		if err != nil {
			return err
		}
		task.terms = *t
		if err := t.check(); err != nil {
			return err
		}
		changed, raw, before, err := s.apply(ctx, task)
		if err != nil {
			return err
		}
		return s.answer(raw, func() { s.showChanged(changed, before) })
	})
	t.declare(cmd)
	cmd.ValidArgsFunction = s.arguments(models)
	return cmd
}

// tries is how often a change is asked for at a newer revision.
const tries = 4

// apply makes a change. It is asked for at the revision that the model has when the command
// begins, so that nobody overrules a colleague without knowing; for that it may wait behind
// another change. before is the model at that time; nil if there was none.
func (s *session) apply(ctx context.Context, t task) (changed *client.Changed, raw []byte, before *client.Model, err error) {
	s.still = "nothing was changed"
	if before, err = s.before(ctx, t); err != nil {
		return nil, nil, nil, err
	}
	revision := t.terms.revision
	if revision == 0 && before != nil && !t.urgent {
		revision = before.Revision
	}
	s.still = mayGoOn(t.change.Model)
	for try := 1; ; try++ {
		stages := &stages{screen: s.screen}
		changed, raw, err = s.client.Change(ctx, t.change, client.Terms{Reason: t.terms.reason, Accept: t.terms.accept, Revision: revision, Progress: stages.tell})
		stages.end()
		newer, harmless := elsewhere(err, t, before, revision)
		switch {
		case err == nil:
			return changed, raw, before, nil
		case !harmless || try == tries:
			return nil, nil, nil, s.refused(ctx, t.change.Model, t.wanted, revision, err)
		}
		revision = newer
	}
}

// before looks at the model of a task. An urgent one does not fail with the look.
func (s *session) before(ctx context.Context, t task) (*client.Model, error) {
	model, _, err := s.client.Model(ctx, t.change.Model)
	if no, ok := errors.AsType[*client.Error](err); ok && no.Status == http.StatusNotFound || t.urgent && ctx.Err() == nil {
		return model, nil
	}
	return model, err
}

// elsewhere says whether a change was refused for one that has nothing to do with it, such as
// a version that was registered meanwhile, and at which revision it is to be made then.
func elsewhere(err error, t task, before *client.Model, asked int64) (revision int64, harmless bool) {
	no, ok := errors.AsType[*client.Error](err)
	if !ok || no.Current == nil || before == nil || t.terms.revision != 0 || no.Current.Revision <= asked {
		return 0, false
	}
	return no.Current.Revision, reflect.DeepEqual(before.State, no.Current.State)
}

// mayGoOn is what to say of a change whose answer nobody waited for.
func mayGoOn(model string) string {
	return fmt.Sprintf("the change may have been made, or still go on at the server: see \"onda models history %s\" before you try again", model)
}

// showChanged says what a change made of a model, as far as it is known what it was before.
func (s *session) showChanged(changed *client.Changed, before *client.Model) {
	text := "now " + stateText(&changed.State)
	if before != nil {
		text = cmp.Or(change(&before.State, &changed.State), "nothing to change")
	}
	s.print("%s: %s (revision %d)", client.Clean(changed.Name), client.Clean(text), changed.Revision)
	if changed.Report != nil && changed.Report.Text != "" {
		s.print("%s", client.Clean(changed.Report.Text))
	}
}

// label makes the command label.
func (s *settings) label() *cobra.Command {
	remove := false
	cmd := s.changing("label NAME LABEL VERSION | NAME LABEL --remove", "move a label to a version", command.Between(2, 3),
		func(args []string) (task, error) {
			if err := scoring.CheckName("label", args[1]); err != nil {
				return task{}, err
			}
			switch {
			case remove && len(args) == 3:
				return task{}, badArgument("--remove takes no version: a label has only one")
			case remove:
				return task{change: client.RemoveLabel(args[0], args[1]), wanted: "no label " + args[1]}, nil
			case len(args) == 2:
				return task{}, badArgument("a version or --remove is missing after label %q", args[1])
			}
			version, err := scoring.ParseVersion(args[2])
			return task{change: client.SetLabel(args[0], args[1], version), wanted: args[1] + " " + args[2]}, err
		})
	cmd.Flags().BoolVar(&remove, "remove", false, "take the label away")
	cmd.Example = "  onda models label faq-matching live 2\n  onda models label faq-matching stable --remove"
	cmd.ValidArgsFunction = s.arguments(models, labels, versions)
	return cmd
}

const trafficLong = `Split the requests that name neither version nor label.

Weights are relative: a version gets its weight divided by the sum of all weights.
1=90 2=10 and 1=9 2=1 mean the same, nine of ten requests to version 1; 1=1 2=1
halves them. Weights are whole numbers from 1; leave out a version that shall get
nothing. A split holds until --clear, until a rollout begins, or until live moves.`

// traffic makes the command traffic.
func (s *settings) traffic() *cobra.Command {
	off, sticky := false, ""
	cmd := s.changing("traffic NAME VERSION=WEIGHT... | NAME --clear", "split the requests that name neither version nor label", command.AtLeast(1),
		func(args []string) (task, error) {
			switch {
			case off && (len(args) > 1 || sticky != ""):
				return task{}, badArgument("--clear takes no weights and no --sticky")
			case off:
				return task{change: client.ClearTraffic(args[0]), wanted: "no traffic split"}, nil
			case len(args) == 1:
				return task{}, badArgument("weights or --clear are missing: want such as 1=90 2=10")
			}
			t := catalog.Traffic{Weights: map[int64]int{}, Sticky: sticky}
			for _, arg := range args[1:] {
				version, weight, err := parseWeight(arg)
				if err != nil {
					return task{}, err
				}
				if _, twice := t.Weights[version]; twice {
					return task{}, badArgument("version %d has two weights", version)
				}
				t.Weights[version] = weight
			}
			return task{change: client.SetTraffic(args[0], t), wanted: "traffic " + weights(&t)}, checkSticky(sticky)
		})
	cmd.Flags().BoolVar(&off, "clear", false, "give all requests to the label live again")
	declareSticky(cmd, &sticky)
	cmd.Long = trafficLong
	cmd.Example = "  onda models traffic faq-matching 1=90 2=10 --sticky caller\n  onda models traffic faq-matching --clear"
	cmd.ValidArgsFunction = s.arguments(models, versionWeights)
	return cmd
}

// parseWeight reads "2=10".
func parseWeight(arg string) (version int64, weight int, err error) {
	left, right, _ := strings.Cut(arg, "=")
	version, err = scoring.ParseVersion(left)
	weight, errWeight := strconv.Atoi(right)
	if err != nil || errWeight != nil || weight < 1 {
		return 0, 0, badArgument("%q: want a version and its weight, such as 2=10", arg)
	}
	return version, weight, nil
}

// declareSticky adds the flag for what keeps a caller on one version.
func declareSticky(cmd *cobra.Command, sticky *string) {
	cmd.Flags().StringVar(sticky, "sticky", "", "what keeps a caller on one version: the key of its requests, or without one its app id (key, caller)")
	command.Complete(cmd, "sticky", command.OneOf(catalog.StickyKey+"\tthe key that requests give", catalog.StickyCaller+"\tthe key, or the caller's app id"))
}

func checkSticky(sticky string) error {
	if sticky == "" || sticky == catalog.StickyKey || sticky == catalog.StickyCaller {
		return nil
	}
	return badArgument("--sticky %q: want %s or %s", sticky, catalog.StickyKey, catalog.StickyCaller)
}

// shadow makes the command shadow.
func (s *settings) shadow() *cobra.Command {
	off, text := false, "0.1"
	var cmd *cobra.Command
	cmd = s.changing("shadow NAME VERSION [--share 0.1] | NAME --clear", "copy requests to a version whose answers nobody gets", command.Between(1, 2),
		func(args []string) (task, error) {
			switch {
			case off && (len(args) > 1 || cmd.Flags().Changed("share")):
				return task{}, badArgument("--clear takes no version and no --share")
			case off:
				return task{change: client.ClearShadow(args[0]), wanted: "no shadow"}, nil
			case len(args) == 1:
				return task{}, badArgument("a version or --clear is missing")
			}
			share, err := parseShare(text)
			if err != nil {
				return task{}, err
			}
			version, err := scoring.ParseVersion(args[1])
			shadow := catalog.Shadow{Version: version, Share: share}
			return task{change: client.SetShadow(args[0], shadow), wanted: "shadow " + shadowText(&shadow)}, err
		})
	cmd.Flags().BoolVar(&off, "clear", false, "copy no requests any more")
	cmd.Flags().StringVar(&text, "share", text, "part of the requests to copy: 0.1 or 10%")
	command.Complete(cmd, "share", command.Nothing)
	cmd.ValidArgsFunction = s.arguments(models, versions)
	return cmd
}

// parseShare reads "0.1", or "10%".
func parseShare(text string) (float64, error) {
	digits, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	share, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share > 0 && share <= 1) {
		return 0, badArgument("--share %q: want the part of the requests to copy, above 0 and at most 1, such as 0.1 or 10%%", text)
	}
	return share, nil
}

// promote makes the command promote.
func (s *settings) promote() *cobra.Command {
	cmd := s.changing("promote NAME [VERSION]", "end the running rollout well; without one, make a version live", command.Between(1, 2),
		func(args []string) (task, error) {
			if len(args) == 1 {
				return task{change: client.Promote(args[0], 0), wanted: "the candidate live"}, nil
			}
			version, err := scoring.ParseVersion(args[1])
			return task{change: client.Promote(args[0], version), wanted: "live " + args[1]}, err
		})
	cmd.ValidArgsFunction = s.arguments(models, versions)
	return cmd
}

// rollback makes the command rollback. It names no revision of its own: whoever sees a rollout
// fail and is slower than the judge shall not go back twice, and the server can only see that
// of who does not insist.
func (s *settings) rollback() *cobra.Command {
	return s.changing("rollback NAME", "end the running rollout badly; without one, go back to what was live before", command.Exactly(1),
		func(args []string) (task, error) {
			return task{change: client.RollBack(args[0]), wanted: "what was live before", urgent: true}, nil
		})
}

// retire makes the command retire.
func (s *settings) retire() *cobra.Command {
	cmd := s.changing("retire NAME VERSION", "take a version out of use, which cannot be undone", command.Exactly(2),
		func(args []string) (task, error) {
			version, err := scoring.ParseVersion(args[1])
			return task{change: client.Retire(args[0], version), wanted: "version " + args[1] + " retired"}, err
		})
	cmd.ValidArgsFunction = s.arguments(models, versions)
	return cmd
}

// pin makes the command pin.
func (s *settings) pin() *cobra.Command {
	off := false
	cmd := s.changing("pin NAME [--off]", "keep the versions that answer in memory", command.Exactly(1),
		func(args []string) (task, error) {
			wanted := map[bool]string{true: "pinned", false: "not pinned"}
			return task{change: client.Pin(args[0], !off), wanted: wanted[!off]}, nil
		})
	cmd.Flags().BoolVar(&off, "off", false, "let them go where others need room")
	return cmd
}
