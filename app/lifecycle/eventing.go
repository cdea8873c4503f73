package lifecycle

import (
	"errors"
	"net/http"
	"strings"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/async"
	"github.com/onda-serving/onda/app/dataref"
	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/ingress/eventsapi"
)

// events makes the door for events. book is the memory of what was answered; nil for none.
func (a *App) events(scorer *engine.Engine, book *answers.Book) *events.Consumer {
	parts := events.Parts{Scorer: scorer, Publisher: a.sidecar, Observer: a.metrics, Tracer: a.tracer, Log: a.log}
	if book != nil {
		parts.Answers = book
	}
	if len(a.references.Allowed) > 0 {
		parts.Fetcher = &a.references
	}
	return events.New(events.Config{
		ResultsTopic: a.config.ResultsTopic, DeadLetterTopic: a.config.DeadLetterTopic,
		Timeout: a.config.Timeout, MaxInstances: a.config.MaxInstances, AtOnce: a.config.EventsAtOnce,
	}, parts)
}

// answers is the memory of what was answered; nil where nothing is kept.
func (a *App) answers() *answers.Book {
	if a.config.StateStore == "" || a.config.AnswerTTL == 0 {
		a.log.Warn().Msg("nothing is kept of what events were answered: one that is delivered twice is scored twice (ONDA_STATE_STORE, ONDA_ANSWER_TTL)")
		return nil
	}
	return &answers.Book{Store: a.sidecar, TTL: a.config.AnswerTTL}
}

// deadLetters makes the door for dead letters. A letter holds the event and what was wrong
// with it, and bytes that are no text grow in JSON: so it may be larger than an event.
// desk hears of the events that the sidecar gave up on.
func (a *App) deadLetters(desk *async.Desk) http.Handler {
	book := &deadletters.Book{
		Store: a.sidecar, Publisher: a.sidecar, RequestsTopic: a.config.RequestsTopic, TTL: a.config.DeadLetterTTL, GivenUp: desk.GaveUp, Observer: a.metrics, Log: a.log,
	}
	return eventsapi.New(eventsapi.Config{
		Changes: a.config.RegistryChanges, Token: a.config.RegistryToken.Reveal(), MaxLetter: 2*int64(a.config.MaxBody) + 1<<16,
		ReadTimeout: a.config.ReadTimeout, Timeout: a.config.Timeout,
	}, book, a.log)
}

// desk takes requests whose callers do not want to wait.
func (a *App) desk(book *answers.Book) *async.Desk {
	desk := &async.Desk{Publisher: a.sidecar, Topic: a.config.RequestsTopic}
	if book != nil {
		desk.Answers = book // nil refuses with what is missing
	}
	return desk
}

// refer prepares for data that events refer to.
func (a *App) refer() error {
	r := &a.references
	r.Allowed, r.MaxBytes, r.Timeout = a.config.EventPlaces(), int64(a.config.MaxEventData), a.config.ReadTimeout
	if err := r.Allowed.Validate(); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), blobs.Setting, dataref.Setting))
	}
	return nil
}
