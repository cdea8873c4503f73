// Package models is the command "onda models": it registers, inspects and rolls out the
// models of a running Onda, over HTTP.
package models

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
)

// defaultServer is where an Onda listens that nobody configured.
const defaultServer = "http://127.0.0.1:8080"

// Defaults are what holds where no flag says anything else.
type Defaults struct {
	// Server is the address of Onda; empty for the usual one.
	Server string
	// Token that lets its bearer change models; empty for none.
	Token string
	// User is who is logged in; empty where nobody knows.
	User string
	// NoColor asks for no colours on a terminal.
	NoColor bool
	// Dumb says that the terminal cannot move its cursor.
	Dumb bool
	// Version of this program.
	Version string
	// OpenCache opens the folder that prefetch fills. It is called after the command line was
	// read; an error may be a command.ExitError.
	OpenCache func(ctx context.Context, cmd *cobra.Command) (Cache, error)
}

// settings are the flags of all commands.
type settings struct {
	Defaults

	server, token, output, actor string
	timeout                      time.Duration
}

// New makes the command models.
func New(d Defaults) *cobra.Command {
	s := &settings{Defaults: d}
	cmd := command.Group("models", "Change and inspect the models of a running Onda.",
		s.list(), s.show(), s.history(), s.status(),
		s.register(), s.label(), s.rollout(), s.promote(), s.rollback(), s.traffic(), s.shadow(), s.retire(), s.pin(), s.prefetch())
	cmd.Short = "register, inspect and roll out the models of a running Onda"
	flags := cmd.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&s.server, "server", cmp.Or(d.Server, defaultServer), "address of Onda, or of a sidecar with /v1.0/invoke/onda/method; ONDA_SERVER")
	// The token that the environment has is no default of its flag, because defaults are printed.
	flags.StringVar(&s.token, "token", "", "token that lets you change models; ONDA_REGISTRY_TOKEN")
	flags.StringVarP(&s.output, "output", "o", "table", "table for people, json for programs: what the server answered")
	flags.StringVar(&s.actor, "actor", client.Actor(d.User), "who makes a change, for the history")
	flags.DurationVar(&s.timeout, "timeout", 10*time.Minute, "longest time of one call, and of one upload")
	command.Complete(cmd, "server", command.Nothing)
	command.Complete(cmd, "token", command.Nothing)
	command.Complete(cmd, "actor", command.Nothing)
	command.Complete(cmd, "timeout", command.Nothing)
	command.Complete(cmd, "output", command.OneOf("table\tfor people", "json\twhat the server answered"))
	return cmd
}

// session is the run of one command that talks to a running Onda.
type session struct {
	*screen

	settings *settings
	client   *client.Client
	// still says what goes on, or not, if the command is interrupted now.
	still string
}

// command makes a command that talks to a running Onda.
func (s *settings) command(use, short string, args cobra.PositionalArgs, run func(context.Context, *session, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			// After the first signal the handler is gone: a second one ends the process at once.
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop)
			session := &session{screen: newScreen(cmd, s), settings: s, client: c}
			err = run(ctx, session, args)
			if err != nil && ctx.Err() != nil {
				session.endLine()
				return &command.ExitError{Code: command.Interrupted, Text: strings.TrimSuffix("interrupted: "+session.still, ": ")}
			}
			err = session.explain(ctx, err)
			if wrong, ok := errors.AsType[*argumentError](err); ok {
				return command.WrongUsage(cmd, "%s", wrong.text)
			}
			return err
		},
	}
	cmd.Flags().SortFlags = false // the help has the important ones first
	return cmd
}

// agent is how the client calls itself.
func (s *settings) agent() string { return "onda/" + s.Version }

// secret is the token to show.
func (s *settings) secret() string { return cmp.Or(s.token, s.Token) }

// connect checks the flags and makes the client; it asks nobody yet.
func (s *settings) connect(cmd *cobra.Command) (*client.Client, error) {
	if s.output != "table" && s.output != "json" {
		return nil, command.WrongUsage(cmd, "--output %q: want table or json", s.output)
	}
	if err := client.CheckActor(s.actor); err != nil {
		return nil, command.WrongUsage(cmd, "%v", err)
	}
	if s.timeout <= 0 {
		return nil, command.WrongUsage(cmd, "--timeout %s: want a time such as 10m", s.timeout)
	}
	c, err := client.New(client.Options{
		Server: s.server, Token: s.secret(), Actor: s.actor, Agent: s.agent(), Timeout: s.timeout,
	})
	if err != nil {
		return nil, command.WrongUsage(cmd, "%v", err)
	}
	return c, nil
}

// answer shows a result: as the server wrote it, or as a table or text.
func (s *session) answer(raw []byte, show func()) error {
	if s.settings.output == "json" {
		_, err := fmt.Fprintf(s.out, "%s\n", strings.TrimRight(string(raw), "\n"))
		return err
	}
	show()
	return nil
}

// printJSON writes a line of JSON for programs.
func (s *session) printJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	_, err = fmt.Fprintf(s.out, "%s\n", text)
	return err
}
