package async

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// failure is the error event of a request that nobody scored. It is kept and not published.
type failure struct {
	SpecVersion     string      `json:"specversion"`
	ID              string      `json:"id"`
	Source          string      `json:"source"`
	Type            string      `json:"type"`
	Subject         string      `json:"subject,omitempty"`
	Time            string      `json:"time"`
	DataContentType string      `json:"datacontenttype"`
	RequestID       string      `json:"requestid"`
	RequestSource   string      `json:"requestsource"`
	Data            failureData `json:"data"`
}

type failureData struct {
	Code  string `json:"code"`
	Error string `json:"error"`
}

// fail keeps why a request has no answer and will have none, unless it has one.
func (d *Desk) fail(ctx context.Context, key answers.Key, request, subject string, why *scoring.Error) error {
	suffix := "/error"
	if key.Replay > 0 {
		suffix += "/" + strconv.Itoa(key.Replay)
	}
	text, err := wire.Marshal(failure{
		SpecVersion: "1.0", ID: key.Source + "#" + key.ID + suffix, Source: "onda", Type: "onda.score.error.v1", Subject: subject,
		Time: time.Now().UTC().Format(time.RFC3339Nano), DataContentType: "application/json",
		RequestID: key.ID, RequestSource: key.Source, Data: failureData{why.Code.String(), why.Message},
	})
	if err != nil {
		return scoring.InternalError(err)
	}
	stands, err := d.Answers.Keep(ctx, key, answers.Record{Status: answers.Failed, Request: request, Event: text})
	if err != nil || key.Replay == 0 {
		return err
	}
	return d.Answers.Answered(ctx, key, stands)
}

// late is how long after its expiration a request is taken for failed that has no answer: the
// clocks of replicas differ, and an answer that was in time is still to be kept.
const late = 30 * time.Second

// newest gives the record that the caller gets. A request whose time was over before anybody
// scored it has failed: a sidecar drops its event, and nobody hears of that.
func (d *Desk) newest(ctx context.Context, key answers.Key) (*answers.Record, error) {
	record, err := d.Answers.Newest(ctx, key)
	if err != nil || record == nil || record.Status != answers.Pending || record.Expires.IsZero() || time.Since(record.Expires) < late {
		return record, err
	}
	if err := d.fail(ctx, key, record.Request, "", expired()); err != nil {
		return nil, err
	}
	return d.Answers.Newest(ctx, key)
}

func expired() *scoring.Error {
	return scoring.Errorf(scoring.Expired, "the request's time was over before it was scored: send it again, with another idempotency-key and more time")
}

// lost is an event that nobody will deliver again, as far as it is read here.
type lost struct {
	ID         string    `json:"id"`
	Source     string    `json:"source"`
	Subject    string    `json:"subject"`
	Expiration time.Time `json:"expiration"`
	Request    string    `json:"ondarequest"`
	Replay     int       `json:"ondareplay,string"`
}

// readLost reads an event; ok is false for one that is not of this package.
func readLost(original []byte) (e lost, ok bool) {
	err := json.Unmarshal(original, &e)
	return e, err == nil && e.Source == answers.AsyncSource && e.Replay >= 0
}

// GaveUp is told of an event that the sidecar put on the dead-letter topic, as its retries came
// to an end. If it is that of a request that somebody accepted here, and that has no answer, the
// request has failed. The error has code Unavailable where that could not be written down: tell
// it again.
func (d *Desk) GaveUp(ctx context.Context, original []byte) error {
	e, ok := readLost(original)
	if d.Answers == nil || !ok {
		return nil
	}
	first, err := d.Answers.Find(ctx, answers.Key{Source: e.Source, ID: e.ID})
	if err != nil || first == nil || first.Request != e.Request {
		return unlessFinal(err) // forgotten, or somebody else's event under this id
	}
	why := scoring.Errorf(scoring.Unavailable, "the request could not be scored however often it was tried: send it again, with another idempotency-key")
	if !e.Expiration.IsZero() && time.Now().After(e.Expiration) {
		why = expired()
	}
	return unlessFinal(d.fail(ctx, answers.Key{Source: e.Source, ID: e.ID, Replay: e.Replay}, e.Request, e.Subject, why))
}

// unlessFinal is err, if another try can mend it.
func unlessFinal(err error) error {
	if scoring.CodeOf(err) == scoring.Unavailable {
		return err
	}
	return nil
}
