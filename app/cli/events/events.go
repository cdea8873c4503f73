// Package events is the command "onda events": it lists, shows and puts back the events that a
// running Onda could not answer, over HTTP.
package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	// Token that lets its bearer read dead letters and put them back; empty for none.
	Token string
	// User is who is logged in; empty where nobody knows.
	User string
	// Version of this program.
	Version string
}

// settings are the flags of all commands.
type settings struct {
	Defaults

	server, token, output, actor string
	timeout                      time.Duration
}

// New makes the command events.
func New(d Defaults) *cobra.Command {
	s := &settings{Defaults: d}
	letters := command.Group("deadletters", "List, show and put back the events that could not be answered.", s.list(), s.show(), s.replay())
	letters.Short = "list, show and put back the events that could not be answered"
	cmd := command.Group("events", "Work on the events of a running Onda.", letters)
	cmd.Short = "look at the events that a running Onda could not answer"
	flags := cmd.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&s.server, "server", cmp.Or(d.Server, defaultServer), "address of Onda, or of a sidecar with /v1.0/invoke/onda/method; ONDA_SERVER")
	// The token that the environment has is no default of its flag, because defaults are printed.
	flags.StringVar(&s.token, "token", "", "token that lets you read dead letters and put them back; ONDA_REGISTRY_TOKEN")
	flags.StringVarP(&s.output, "output", "o", "table", "table for people, json for programs: what the server answered")
	flags.StringVar(&s.actor, "actor", client.Actor(d.User), "who puts letters back, to be noted in them")
	flags.DurationVar(&s.timeout, "timeout", 10*time.Minute, "longest time of one call")
	command.Complete(cmd, "server", command.Nothing)
	command.Complete(cmd, "token", command.Nothing)
	command.Complete(cmd, "actor", command.Nothing)
	command.Complete(cmd, "timeout", command.Nothing)
	command.Complete(cmd, "output", command.OneOf("table\tfor people", "json\twhat the server answered"))
	return cmd
}

// session is the run of one command.
type session struct {
	client   *client.Client
	settings *settings
	in       io.Reader
	out, err io.Writer
}

// command makes a command that talks to a running Onda.
func (s *settings) command(use, short string, args cobra.PositionalArgs, run func(context.Context, *session, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect(s.timeout)
			if err != nil {
				return command.WrongUsage(cmd, "%v", err)
			}
			defer c.Close()
			// After the first signal the handler is gone: a second one ends the process at once.
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop)
			err = run(ctx, &session{client: c, settings: s, in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}, args)
			if err != nil && ctx.Err() != nil {
				if ended, ok := errors.AsType[*command.ExitError](err); ok && ended.Code == command.Interrupted {
					return ended
				}
				return &command.ExitError{Code: command.Interrupted, Text: "interrupted: what was not put back can be put back later"}
			}
			if wrong, ok := errors.AsType[*argumentError](err); ok {
				return command.WrongUsage(cmd, "%s", wrong.text)
			}
			return s.explain(err)
		},
	}
	cmd.Flags().SortFlags = false // the help has the important ones first
	return cmd
}

// connect checks the flags and makes the client; it asks nobody yet. timeout bounds a call.
func (s *settings) connect(timeout time.Duration) (*client.Client, error) {
	if s.output != "table" && s.output != "json" {
		return nil, fmt.Errorf("--output %q: want table or json", s.output)
	}
	if err := client.CheckActor(s.actor); err != nil {
		return nil, err
	}
	if timeout <= 0 {
		return nil, fmt.Errorf("--timeout %s: want a time such as 10m", timeout)
	}
	return client.New(client.Options{
		Server: s.server, Token: cmp.Or(s.token, s.Token), Actor: s.actor, Agent: "onda/" + s.Version, Timeout: timeout,
	})
}

// argumentError is an argument that cannot be meant.
type argumentError struct{ text string }

// Error says what is wrong with it.
func (e *argumentError) Error() string { return e.text }

func badArgument(format string, args ...any) error {
	return &argumentError{fmt.Sprintf(format, args...)}
}

// explain makes the error that a command ends with: what was wrong, and then what to do.
func (s *settings) explain(err error) error {
	if err == nil {
		return nil
	}
	if ended, ok := errors.AsType[*command.ExitError](err); ok {
		return ended
	}
	text := client.Clean(err.Error())
	if no, ok := errors.AsType[*client.Error](err); ok {
		text += s.remedy(no)
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		text += "\nIs it running? Say where with --server URL, or export ONDA_SERVER=URL."
	}
	if sidecar, ok := errors.AsType[*client.SidecarError](err); ok {
		text += "\nAsk Onda through it: --server " + client.Clean(sidecar.Through)
	}
	if _, ok := errors.AsType[*client.StrangerError](err); ok {
		text += "\nIs --server (or ONDA_SERVER) right? Through a sidecar it is such as http://127.0.0.1:3500/v1.0/invoke/onda/method."
	}
	if lost, ok := errors.AsType[*client.LostError](err); ok && lost.After > 0 {
		text += "\nWait longer with --timeout."
	}
	return &command.ExitError{Code: command.Failed, Text: text}
}

// remedy says what to do about an answer that says no; "" where its own words say it all.
func (s *settings) remedy(no *client.Error) string {
	const show = "export ONDA_REGISTRY_TOKEN=..., or add --token"
	switch {
	case no.Status == http.StatusUnauthorized && s.token == "" && s.Token == "":
		return "\nShow the server's token: " + show + "."
	case no.Status == http.StatusUnauthorized:
		return "\nIs the token that of this server? It comes from --token, or else from ONDA_REGISTRY_TOKEN."
	case no.Status == http.StatusForbidden:
		return "\nThat is set where Onda runs; the token is then shown from here: " + show + "."
	case no.Status == http.StatusNotFound && strings.Contains(no.Message, "dead letter"):
		return "\n\"onda events deadletters list\" shows what there is."
	default:
		return ""
	}
}
