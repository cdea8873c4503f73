package models

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/scoring"
)

// argumentError is an argument that cannot be meant.
type argumentError struct{ text string }

// Error says what is wrong with it.
func (e *argumentError) Error() string { return e.text }

func badArgument(format string, args ...any) error {
	return &argumentError{fmt.Sprintf(format, args...)}
}

// conflictError is a change that came after another one.
type conflictError struct {
	no            *client.Error
	model, wanted string
	revision      int64
	// by and at say who changed the model, and when; empty where that is not known.
	by string
	at time.Time
}

// refused looks at why a change was refused: who came before, if that is it.
func (s *session) refused(ctx context.Context, model, wanted string, revision int64, err error) error {
	no, ok := errors.AsType[*client.Error](err)
	if !ok || no.Current == nil {
		return err
	}
	conflict := &conflictError{no: no, model: model, wanted: wanted, revision: revision}
	if no.Yours != nil && no.Yours.Revision > 0 {
		conflict.revision = no.Yours.Revision
	}
	const enough = 20 // a rollout may have gone on since
	entries, _, err := s.client.History(ctx, model, enough)
	if err != nil {
		return conflict
	}
	for _, e := range entries {
		if e.Revision == no.Current.Revision {
			conflict.by, conflict.at = e.Actor, e.At
		}
	}
	return conflict
}

// Error is what the server said.
func (e *conflictError) Error() string { return e.no.Message }

// text puts both sides one below the other.
func (e *conflictError) text() string {
	by := ""
	if e.by != "" {
		by = fmt.Sprintf(" by %s %s", e.by, ago(e.at, time.Now()))
	}
	return fmt.Sprintf("%s\n  you wanted: %s (from revision %d)\n  now:        %s (revision %d)\nLook at it with \"onda models show %s\", and try again if you still want it.",
		clean(e.no.Message), e.wanted, e.revision, clean(stateText(&e.no.Current.State)+by), e.no.Current.Revision, e.model)
}

// explain makes the error that a command ends with: what was wrong, and then what to do.
func (s *session) explain(err error) error {
	if err == nil {
		return nil
	}
	s.endLine()
	if ended, ok := errors.AsType[*command.ExitError](err); ok {
		return ended
	}
	if wrong, ok := errors.AsType[*scoring.Error](err); ok {
		return badArgument("%s", wrong.Message)
	}
	if wrong, ok := errors.AsType[*argumentError](err); ok {
		return wrong
	}
	return &command.ExitError{Code: command.Failed, Text: s.advise(err)}
}

// advise adds what to do to an error.
func (s *session) advise(err error) string {
	text := cleanLines(err.Error())
	if conflict, ok := errors.AsType[*conflictError](err); ok {
		return conflict.text()
	}
	if no, ok := errors.AsType[*client.Error](err); ok {
		return text + s.remedy(no)
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return text + "\nIs it running? Say where with --server URL, or export ONDA_SERVER=URL."
	}
	if _, ok := errors.AsType[*client.StrangerError](err); ok {
		return text + "\nIs --server (or ONDA_SERVER) right? Through a sidecar it is such as http://127.0.0.1:3500/v1.0/invoke/onda/method."
	}
	if lost, ok := errors.AsType[*client.LostError](err); ok {
		if s.still != "" {
			text += "\n" + sentence(s.still)
		}
		if lost.After > 0 {
			text += "\nWait longer with --timeout."
		}
	}
	return text
}

// remedy says what to do about an answer that says no; "" where its own words say it all.
func (s *session) remedy(no *client.Error) string {
	const show = "export ONDA_REGISTRY_TOKEN=..., or add --token"
	switch {
	case no.Status == http.StatusUnauthorized && s.settings.secret() == "":
		return "\nShow the server's token: " + show + "."
	case no.Status == http.StatusUnauthorized:
		return "\nIs the token that of this server? It comes from --token, or else from ONDA_REGISTRY_TOKEN."
	case no.Status == http.StatusForbidden:
		return "\nThat is set where Onda runs; the token is then shown from here: " + show + "."
	case no.Status == http.StatusNotFound && !strings.Contains(no.Message, "version"):
		return "\n\"onda models list\" shows what there is."
	}
	if found := acceptance.FindStringSubmatch(no.Message); found != nil {
		return fmt.Sprintf("\nIf that is meant, add --accept %s.", found[1])
	}
	if found := insistence.FindStringSubmatch(no.Message); found != nil {
		return fmt.Sprintf("\nIf that is meant, add --revision %s.", found[1])
	}
	return ""
}

// acceptance finds what a refusal says could be accepted, in the words of the server:
// `confirm with accept "signature"`.
var acceptance = regexp.MustCompile(`confirm with [^"]*"(` + strings.Join(acceptable, "|") + `)"`)

// insistence finds the revision that a rollback has to name if it is meant to go further back.
var insistence = regexp.MustCompile(`if-match with the revision "(\d+)"`)

// sentence makes a sentence of a clause.
func sentence(clause string) string { return strings.ToUpper(clause[:1]) + clause[1:] + "." }
