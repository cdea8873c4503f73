package golden

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// rawCase is an element of "cases".
type rawCase struct {
	Instance json.RawMessage `json:"instance"`
	Classes  []rawClass      `json:"classes"`
	Matches  []rawMatch      `json:"matches"`
	Inputs   []rawTensor     `json:"inputs"`
	Outputs  []rawTensor     `json:"outputs"`
}

// rawInstance is an instance that is an object: one of its keys is there.
type rawInstance struct {
	File *string `json:"file"`
	Text *string `json:"text"`
	B64  *string `json:"b64"`
}

// rawClass is an element of "classes". Only the label may be left out.
type rawClass struct {
	Index *int     `json:"index"`
	Label string   `json:"label"`
	Score *float64 `json:"score"`
}

// rawMatch is an element of "matches". The texts may be left out.
type rawMatch struct {
	ID       *string  `json:"id"`
	Question string   `json:"question"`
	Answer   string   `json:"answer"`
	Score    *float64 `json:"score"`
}

// words says what JSON has for the kinds of Go that this package reads into.
var words = map[reflect.Kind]string{
	reflect.Struct: "an object", reflect.Slice: "an array", reflect.String: "a string",
	reflect.Int: "a whole number", reflect.Int64: "a whole number", reflect.Float64: "a number",
}

// golden reads a case.
func (l *loader) golden(text []byte) (g golden, err error) {
	var raw rawCase
	if err := strict(text, &raw); err != nil {
		return g, err
	}
	switch {
	case raw.Instance == nil && raw.Inputs == nil:
		return g, errors.New(`there is neither "instance" nor "inputs": want one of them`)
	case raw.Instance == nil:
		return tensorCase(raw)
	case raw.Inputs != nil || raw.Outputs != nil:
		return g, errors.New(`there is "instance" beside "inputs" or "outputs": want an instance with classes or matches, or inputs with outputs`)
	case (len(raw.Classes) == 0) == (len(raw.Matches) == 0):
		return g, errors.New(`want "classes" or "matches" beside "instance", one of them and not empty`)
	}
	if g.instance, err = l.instance(raw.Instance); err != nil {
		return g, fmt.Errorf("instance: %w", err)
	}
	if raw.Matches != nil {
		g.kind = "match"
		g.entries, err = entriesOf("matches", raw.Matches, rawMatch.entry)
	} else {
		g.kind = "class"
		g.entries, err = entriesOf("classes", raw.Classes, rawClass.entry)
	}
	return g, err
}

// instance reads an instance: a text, or an object with one key.
func (l *loader) instance(text []byte) (scoring.Instance, error) {
	var i rawInstance
	if text[0] == '"' {
		if err := strict(text, &i.Text); err != nil {
			return scoring.Instance{}, err
		}
	} else if err := strict(text, &i); err != nil {
		return scoring.Instance{}, err
	}
	switch {
	case i.Text != nil && i.File == nil && i.B64 == nil:
		return scoring.Instance{Kind: scoring.Text, Data: []byte(*i.Text)}, nil
	case i.File != nil && i.Text == nil && i.B64 == nil:
		data, err := l.read(*i.File)
		if errors.Is(err, fs.ErrNotExist) {
			return scoring.Instance{}, fmt.Errorf("file: there is no %q: want a file in the version's folder that model.yaml lists under files", *i.File)
		}
		if err != nil {
			return scoring.Instance{}, fmt.Errorf("file: %w", err)
		}
		return scoring.Instance{Kind: scoring.Binary, Data: data}, nil
	case i.B64 != nil && i.File == nil && i.Text == nil:
		data, err := base64.StdEncoding.DecodeString(*i.B64)
		if err != nil {
			return scoring.Instance{}, fmt.Errorf("b64: %w", err)
		}
		return scoring.Instance{Kind: scoring.Binary, Data: data}, nil
	default:
		return scoring.Instance{}, errors.New(`want a text, {"text": ...}, {"file": ...} or {"b64": ...}`)
	}
}

// entry is a class or a match: what was expected, or what came.
type entry struct {
	// name tells entries of an answer apart: the index of a class, the id of a match, as
	// errors write it.
	name  string
	score float64
	// texts are what else is known of it, in the order of textNames; "" where it is not
	// expected.
	texts [3]string
}

// textNames are the keys of an entry's texts.
var textNames = [3]string{"label", "question", "answer"}

func (c rawClass) entry() (entry, error) {
	if c.Index == nil || c.Score == nil {
		return entry{}, errors.New(`want "index" and "score"`)
	}
	return entry{name: strconv.Itoa(*c.Index), score: *c.Score, texts: [3]string{c.Label}}, nil
}

func (m rawMatch) entry() (entry, error) {
	if m.ID == nil || m.Score == nil {
		return entry{}, errors.New(`want "id" and "score"`)
	}
	return entry{name: strconv.Quote(*m.ID), score: *m.Score, texts: [3]string{"", m.Question, m.Answer}}, nil
}

// entriesOf reads a list of what is expected, best first.
func entriesOf[R any](key string, raws []R, read func(R) (entry, error)) ([]entry, error) {
	var all []entry
	for i, raw := range raws {
		e, err := read(raw)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", key, i, err)
		}
		if i > 0 && e.score > all[i-1].score {
			return nil, fmt.Errorf("%s[%d]: score %v is above the one before it: want the best first", key, i, e.score)
		}
		all = append(all, e)
	}
	return all, nil
}
