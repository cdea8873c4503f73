package async

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/scoring"
)

// State is what became of a request.
type State struct {
	// ID of the request.
	ID string
	// Status of the request.
	Status answers.Status
	// Response is the answer that the same request would have got at once, in JSON; nil if the
	// status is not Done.
	Response json.RawMessage
	// Model is the version that answered; the zero value if the status is not Done.
	Model scoring.ModelID
	// Failure is why there is no answer and will be none; nil if the status is not Failed.
	Failure *scoring.Error
}

// kept is the event of a record, as far as it is read here. It is a result event or an error
// event: the data of the latter repeats the request, which its caller has.
type kept struct {
	Subject      string          `json:"subject"`
	ModelVersion string          `json:"modelversion"`
	ModelDigest  string          `json:"modeldigest"`
	Data         json.RawMessage `json:"data"`
}

// Status says what became of the request with this id. Of one that an operator put back it is
// the newest answer, once there is one: until then it stays what it was, as nobody knows
// whether there will be another, and who was told that a request has failed has stopped waiting.
// The codes of errors are NotFound for
// one that is not known, or was forgotten, and as those of [Desk.Accept].
func (d *Desk) Status(ctx context.Context, id string) (State, error) {
	if err := d.check(); err != nil {
		return State{}, err
	}
	if err := CheckID(id); err != nil {
		return State{}, d.unknown()
	}
	record, err := d.newest(ctx, answers.Key{Source: answers.AsyncSource, ID: id})
	switch {
	case err != nil:
		return State{}, err
	case record == nil:
		return State{}, d.unknown()
	}
	state := State{ID: id, Status: record.Status}
	if record.Status == answers.Pending {
		return state, nil
	}
	if err := state.read(record.Event); err != nil {
		return State{}, scoring.Errorf(scoring.Internal, "the answer that was kept for the request cannot be read").WithCause(err)
	}
	return state, nil
}

func (d *Desk) unknown() error {
	return scoring.Errorf(scoring.NotFound, "there is no asynchronous request with this id: it was not accepted, or its answer is forgotten, as they are kept for %s (ONDA_ANSWER_TTL)", d.Answers.TTL)
}

// read takes an answer from its event.
func (s *State) read(text json.RawMessage) error {
	var e kept
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	if len(e.Data) == 0 {
		return errors.New("the event has no data")
	}
	if s.Status == answers.Failed {
		return s.readFailure(e.Data)
	}
	ref, err := scoring.ParseModelRef(e.Subject)
	if err != nil {
		return err
	}
	version, err := strconv.ParseInt(e.ModelVersion, 10, 64)
	if err != nil {
		return err
	}
	s.Response, s.Model = e.Data, scoring.ModelID{Name: ref.Name, Version: version, Digest: e.ModelDigest}
	return nil
}

func (s *State) readFailure(data json.RawMessage) error {
	var failure struct {
		Code  string `json:"code"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(data, &failure); err != nil {
		return err
	}
	s.Failure = scoring.Errorf(codeNamed(failure.Code), "%s", failure.Error)
	return nil
}

// codeNamed gives the code of a name; Internal for one of another version of Onda.
func codeNamed(name string) scoring.Code {
	for _, code := range scoring.Codes() {
		if code.String() == name {
			return code
		}
	}
	return scoring.Internal
}
