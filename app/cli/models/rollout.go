package models

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/scoring"
)

// rolloutFlags are the flags of the command rollout.
type rolloutFlags struct {
	terms

	steps  []int
	texts  []string // of the steps
	sticky string
	watch  bool
	every  time.Duration
	rule   *pflag.FlagSet
}

// rollout makes the command rollout.
func (s *settings) rollout() *cobra.Command {
	f := &rolloutFlags{}
	cmd := s.command("rollout NAME VERSION [--watch] | NAME --watch", "give a version a growing share of the requests, as long as it keeps a rule", command.Between(1, 2),
		func(ctx context.Context, s *session, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			if len(args) == 1 {
				return s.watch(ctx, args[0], "", f.every)
			}
			return s.begin(ctx, args[0], args[1], f)
		})
	cmd.Example = "  onda models rollout faq-matching 3 --steps 5,25,50 --max-divergence 0.02 --watch\n" +
		"  onda models rollout faq-matching --watch      # follow the one that is running"
	f.declare(cmd)
	cmd.ValidArgsFunction = s.arguments(models, versions)
	return cmd
}

// declare adds the flags. What is not given is the server's to choose, so the flags of the
// rule have no defaults.
func (f *rolloutFlags) declare(cmd *cobra.Command) {
	f.rule = pflag.NewFlagSet("rule", pflag.ContinueOnError)
	f.rule.SortFlags = false
	f.rule.Float64("max-error-rate", 0, "how much larger than the live version's the share of failed requests may be, of 1")
	f.rule.Float64("max-p99-ratio", 0, "how many times the live version's 99th percentile of latency is allowed")
	f.rule.Float64("max-divergence", 0, "largest share of compared answers that may differ from the live version's, of 1")
	f.rule.Int("min-samples", 0, "requests that the version must have answered in each step")
	f.rule.Int("min-compared", 0, "answers of it that must have been compared in each step")
	f.rule.Duration("step-time", 0, "least time of a step")
	f.rule.Float64("compare", 0, "part of its requests that the live version is asked too, of 1")
	flags := cmd.Flags()
	flags.StringSliceVar(&f.texts, "steps", nil, "shares of the requests in percent, rising, such as 5,25,50")
	flags.AddFlagSet(f.rule)
	f.rule.VisitAll(func(flag *pflag.Flag) { command.Complete(cmd, flag.Name, command.Nothing) })
	declareSticky(cmd, &f.sticky)
	flags.BoolVar(&f.watch, "watch", false, "follow the rollout until it ends; exit code 1 if it is rolled back")
	flags.DurationVar(&f.every, "every", time.Second, "how often to look, for --watch")
	f.terms.declare(cmd)
	command.Complete(cmd, "steps", command.Nothing)
	command.Complete(cmd, "every", command.Nothing)
}

// check says what is wrong with arguments and flags.
func (f *rolloutFlags) check(args []string) error {
	begins := len(f.texts) > 0 || f.sticky != "" || f.reason != "" || len(f.accept) > 0 || f.revision != 0
	f.rule.VisitAll(func(flag *pflag.Flag) { begins = begins || flag.Changed })
	switch {
	case len(args) == 1 && !f.watch:
		return badArgument("a version is missing; to follow the rollout that is running, add --watch")
	case len(args) == 1 && begins:
		return badArgument("a version is missing: without one, --watch follows the rollout that is running, whose rule stands")
	case f.every <= 0:
		return badArgument("--every %s: want a time such as 1s", f.every)
	}
	if err := f.parseSteps(); err != nil {
		return err
	}
	if err := f.terms.check(); err != nil {
		return err
	}
	if err := f.checkRule(); err != nil {
		return err
	}
	if err := checkSticky(f.sticky); err != nil {
		return err
	}
	return checkModel(args[0])
}

// parseSteps reads the steps, with or without the sign for percent.
func (f *rolloutFlags) parseSteps() error {
	f.steps = nil
	least := 1
	for _, text := range f.texts {
		step, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(text, "%")))
		if err != nil || step < least || step > 100 {
			return badArgument("--steps %q: want rising percentages, 1 to 100, such as 5,25,50", strings.Join(f.texts, ","))
		}
		f.steps = append(f.steps, step)
		least = step + 1
	}
	return nil
}

// checkRule refuses zeros: the server takes them for what was left out.
func (f *rolloutFlags) checkRule() (err error) {
	f.rule.VisitAll(func(flag *pflag.Flag) {
		if value := flag.Value.String(); flag.Changed && (value == "0" || value == "0s" || strings.HasPrefix(value, "-")) {
			err = badArgument("--%s %s: want more than 0; left out, the server chooses", flag.Name, value)
		}
	})
	return err
}

// given is what was given of the rule, by its names in JSON.
func (f *rolloutFlags) given() map[string]any {
	rule := map[string]any{}
	for flag, field := range map[string]string{"max-error-rate": "max_error_rate", "max-p99-ratio": "max_p99_ratio", "max-divergence": "max_divergence", "compare": "compare"} {
		if f.rule.Changed(flag) {
			rule[field], _ = f.rule.GetFloat64(flag)
		}
	}
	for flag, field := range map[string]string{"min-samples": "min_samples", "min-compared": "min_compared"} {
		if f.rule.Changed(flag) {
			rule[field], _ = f.rule.GetInt(flag)
		}
	}
	if f.rule.Changed("step-time") {
		d, _ := f.rule.GetDuration("step-time")
		rule["step_time"] = catalog.Duration(d)
	}
	return rule
}

// begin begins a rollout, and follows it if asked to.
func (s *session) begin(ctx context.Context, name, candidate string, f *rolloutFlags) error {
	version, err := scoring.ParseVersion(candidate)
	if err != nil {
		return err
	}
	change := client.BeginRollout(name, client.Rollout{Candidate: version, Steps: f.steps, Rule: f.given(), Sticky: f.sticky})
	changed, raw, before, err := s.apply(ctx, task{change: change, terms: f.terms, wanted: fmt.Sprintf("a rollout of version %d", version)})
	if err != nil {
		return err
	}
	if !f.watch {
		return s.answer(raw, func() {
			s.showChanged(changed, before)
			s.note("Follow it with \"onda models rollout %s --watch\".", name)
		})
	}
	if s.settings.output == "table" {
		s.showChanged(changed, before)
	}
	id := ""
	if changed.Rollout != nil {
		id = changed.Rollout.ID
	}
	return s.watch(ctx, name, id, f.every)
}
