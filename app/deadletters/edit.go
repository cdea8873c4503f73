package deadletters

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// member of a JSON object, as it is written.
type member struct {
	name  string
	value json.RawMessage
}

// again gives the event to put back: the original with the number of this replay, and without
// an expiration that is past, with which it would be dead again at once. All else is kept to
// the byte, in its order. note says what was left out.
func (l *Letter) again(number int, now time.Time) (event []byte, note string, err error) {
	if err := l.replayable(); err != nil {
		return nil, "", err
	}
	all, err := members(l.Original)
	if err != nil {
		return nil, "", scoring.InternalError(err) // it was read before
	}
	var b bytes.Buffer
	write := func(name string, value []byte) error {
		key, err := wire.Marshal(name)
		if err != nil {
			return err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
		b.WriteByte(',')
		return nil
	}
	b.WriteByte('{')
	for _, m := range all {
		// Attributes are read whatever the case of their letters is.
		switch {
		case strings.EqualFold(m.name, "ondareplay"):
			continue
		case strings.EqualFold(m.name, "expiration") && past(m.value, now):
			note = "the expiration " + string(m.value) + " was past, and was left out"
			continue
		}
		if err := write(m.name, m.value); err != nil {
			return nil, "", scoring.InternalError(err)
		}
	}
	b.WriteString(`"ondareplay":"` + strconv.Itoa(number) + `"}`)
	return b.Bytes(), note, nil
}

// replayable says why a letter cannot be put back: the error has code Invalid.
func (l *Letter) replayable() error {
	switch event, ok := parse(l.Original); {
	case len(l.Original) == 0 && len(l.OriginalBytes) == 0:
		return scoring.Errorf(scoring.Invalid, "dead letter %s cannot be put back: its original was not kept", l.ID)
	case !ok:
		return scoring.Errorf(scoring.Invalid, "dead letter %s cannot be put back: its original is no CloudEvent in JSON", l.ID)
	case !event.named():
		return scoring.Errorf(scoring.Invalid, "dead letter %s cannot be put back: its original has no id or no source, and would be refused again", l.ID)
	default:
		return nil
	}
}

// members takes a JSON object apart.
func members(object []byte) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	var all []member
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		all = append(all, member{name, value})
	}
	return all, nil
}

// past says whether an expiration is one that was.
func past(value json.RawMessage, now time.Time) bool {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return err == nil && !at.After(now)
}
