package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/onda-serving/onda/app/scoring"
)

// Decode reads a model's document. What it gives has no nil maps, and nothing in it that the
// methods of [Model], [State] and [Route] could stumble over. Fields that it does not know are
// passed over: releases of the same schema may add some. The error has the code Unavailable
// for a document that a newer Onda wrote, and Internal for one that is damaged.
func Decode(data []byte) (*Model, error) {
	const what = "a model's document"
	var m Model
	if err := decode(what, data, &m, &m.Schema); err != nil {
		return nil, err
	}
	m.normalise()
	if err := m.check(); err != nil {
		return nil, damaged(what, err)
	}
	return &m, nil
}

// encode writes a document: compact, the keys of maps in order, and characters as they are.
func encode(document any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return nil, scoring.InternalError(fmt.Errorf("write a document of the registry: %w", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads a document into one that has its schema at *schema.
func decode(what string, data []byte, into any, schema *int) error {
	failed := json.Unmarshal(data, into)
	if failed == nil && *schema == Schema {
		return nil
	}
	// Of a document of another schema, nothing but the schema and the name can be counted
	// on, not even that it can be decoded.
	var header struct {
		Schema int    `json:"schema"`
		Name   string `json:"name"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return damaged(what, err)
	}
	if scoring.CheckName("model name", header.Name) == nil {
		what = fmt.Sprintf("%s (of model %q)", what, header.Name)
	}
	switch {
	case header.Schema > Schema:
		return scoring.Errorf(scoring.Unavailable, "%s in the registry has schema %d, which a newer Onda wrote: this one reads schema %d, update it", what, header.Schema, Schema).WithCause(ErrUnreadable)
	case header.Schema < Schema:
		return damaged(what, fmt.Errorf("its schema is %d, want %d", header.Schema, Schema))
	}
	return damaged(what, failed)
}

// damaged is the error of a document that no Onda wrote. The cause speaks of the registry's
// own words only, and helps whoever has to mend it.
func damaged(what string, cause error) *scoring.Error {
	return scoring.Errorf(scoring.Internal, "%s in the registry is damaged, restore it from a backup of the state store: %v", what, cause).WithCause(ErrUnreadable)
}

// ErrUnreadable is what is wrong with a document that is there and cannot be read: it is
// damaged, or a newer Onda wrote it. To read it again is of no use.
var ErrUnreadable = errors.New("the document cannot be read")

// normalise puts maps and lists where there are none.
func (m *Model) normalise() {
	m.Versions = own(m.Versions)
	m.State = m.State.clone()
	if m.History == nil {
		m.History = []Entry{}
	}
	normalise(m.History)
}

func normalise(entries []Entry) {
	for i := range entries {
		entries[i].Before = entries[i].Before.clone()
		entries[i].After = entries[i].After.clone()
	}
}
