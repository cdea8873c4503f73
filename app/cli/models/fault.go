package models

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
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
func (e *conflictError) Error() string { return inFlags(e.no.Message) }

// text puts both sides one below the other.
func (e *conflictError) text() string {
	by := ""
	if e.by != "" {
		by = fmt.Sprintf(" by %s %s", e.by, ago(e.at, time.Now()))
	}
	return fmt.Sprintf("%s\n  you wanted: %s (from revision %d)\n  now:        %s (revision %d)\nLook at it with \"onda models show %s\", and try again if you still want it.",
		client.Clean(inFlags(e.no.Message)), e.wanted, e.revision, client.Clean(stateText(&e.no.Current.State)+by), e.no.Current.Revision, e.model)
}

// explain makes the error that a command ends with: what was wrong, and then what to do.
func (s *session) explain(ctx context.Context, err error) error {
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
	return &command.ExitError{Code: command.Failed, Text: s.advise(ctx, err)}
}

// advise adds what to do to an error.
func (s *session) advise(ctx context.Context, err error) string {
	text := client.CleanLines(inFlags(err.Error()))
	if conflict, ok := errors.AsType[*conflictError](err); ok {
		return conflict.text()
	}
	if no, ok := errors.AsType[*client.Error](err); ok {
		return text + s.remedy(ctx, no)
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return text + "\nIs it running? Say where with --server URL, or export ONDA_SERVER=URL."
	}
	if sidecar, ok := errors.AsType[*client.SidecarError](err); ok {
		return text + "\nAsk Onda through it: --server " + client.Clean(sidecar.Through)
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
func (s *session) remedy(ctx context.Context, no *client.Error) string {
	const show = "export ONDA_REGISTRY_TOKEN=..., or add --token"
	switch {
	case no.Status == http.StatusUnauthorized && s.settings.secret() == "":
		return "\nShow the server's token: " + show + "."
	case no.Status == http.StatusUnauthorized:
		return "\nIs the token that of this server? It comes from --token, or else from ONDA_REGISTRY_TOKEN."
	case no.Status == http.StatusForbidden && strings.Contains(no.Message, "ONDA_REGISTRY_TOKEN"):
		return "\nThat is set where Onda runs; the token is then shown from here: " + show + "."
	case no.Status == http.StatusForbidden && strings.Contains(no.Message, "ONDA_ARTIFACT_SOURCES"):
		return "\nThat is set where Onda runs, such as ONDA_ARTIFACT_SOURCES=azblob://models,/srv/models; or upload the files from here with --from DIR."
	case no.Status == http.StatusNotFound && unknownModel.MatchString(no.Message):
		return "\n" + s.whatThereIs(ctx)
	}
	for _, r := range remedies {
		if found := r.find.FindStringSubmatch(no.Message); found != nil {
			return "\n" + fmt.Sprintf(r.say, found[1])
		}
	}
	return ""
}

// whatThereIs names the models, as far as the server tells at once.
func (s *session) whatThereIs(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	models, _, err := s.client.Models(ctx)
	if err != nil {
		return `"onda models list" shows what there is.`
	}
	var names []string
	for _, m := range models {
		names = append(names, client.Clean(m.Name))
	}
	if len(names) == 0 {
		return "There is no model yet."
	}
	slices.Sort(names)
	return "There " + few(names) + "."
}

// remedies say how the command line does what a refusal asks for, in the words of the server.
var remedies = []struct {
	find *regexp.Regexp
	say  string
}{
	// confirm with accept "signature"
	{regexp.MustCompile(`confirm with [^"]*"(` + strings.Join(acceptable, "|") + `)"`), "If that is meant, add --accept %s."},
	// the number that a model.yaml at a location says is not looked up before
	{regexp.MustCompile(`model\.yaml says [^ ]+@(\d+): want the folder's own`), "A version is registered under the name and number that its model.yaml says: add --version %s, or set version: there."},
}

// unknownModel finds a model that is not there: other things can be missing too.
var unknownModel = regexp.MustCompile(`^model "[^"]*" is not in the registry`)

// inFlags puts what the server says of HTTP into words of the command line.
func inFlags(text string) string {
	for _, w := range words {
		text = w.find.ReplaceAllString(text, w.say)
	}
	return text
}

var words = []struct {
	find *regexp.Regexp
	say  string
}{
	{regexp.MustCompile(`send the header if-match with the revision "(\d+)"`), "add --revision $1"},
	{regexp.MustCompile(`(?i)\b(the )?header if-match\b`), "--revision"},
	{regexp.MustCompile(`the header authorization is missing or wrong(: send "Bearer " and the token of ONDA_REGISTRY_TOKEN)?`), "the token is missing or wrong"},
	{regexp.MustCompile(`: GET /registry/v1/models lists what is`), ""},
	{regexp.MustCompile(`GET /registry/v1/models/([^ /]+) lists its versions`), `"onda models show $1" lists its versions`},
	{regexp.MustCompile(`POST /registry/v1/models/([^ /]+)/rollout begins one`), `"onda models rollout $1 VERSION" begins one`},
	{regexp.MustCompile(`PUT each to /registry/v1/blobs/SHA256 first`), "register it again with --from, which sends them"},
}

// sentence makes a sentence of a clause.
func sentence(clause string) string { return strings.ToUpper(clause[:1]) + clause[1:] + "." }
