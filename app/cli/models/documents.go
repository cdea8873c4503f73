package models

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/catalog"
)

// maxDocuments bounds a file of documents, in bytes.
const maxDocuments = 128 << 20

// documents are those of the models, from a file or from the server.
type documents struct {
	// from is the file, "-" for in; "" for the server.
	from string
	in   io.Reader

	byName map[string]*catalog.Model
	bad    map[string]error // why a document cannot be used
	names  []string         // of all, sorted
}

// read reads all of them.
func (d *documents) read(ctx context.Context, s *session) error {
	d.byName, d.bad, d.names = map[string]*catalog.Model{}, map[string]error{}, nil
	text, err := d.text(ctx, s)
	if err != nil {
		return err
	}
	// The answer of list, the snapshot that a replica keeps, or one document as show has it.
	var all struct {
		Models    []json.RawMessage `json:"models"`
		Documents []json.RawMessage `json:"documents"`
		Name      string            `json:"name"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s is no JSON document: want what \"onda models list -o json\" prints: %w", d.from, err)
	}
	list := slices.Concat(all.Models, all.Documents)
	if all.Name != "" {
		list = append(list, text)
	}
	if len(list) == 0 && all.Models == nil && all.Documents == nil {
		return fmt.Errorf("%s has no models: want what \"onda models list -o json\" prints", d.from)
	}
	for _, one := range list {
		d.add(one)
	}
	slices.Sort(d.names)
	d.names = slices.Compact(d.names)
	return nil
}

func (d *documents) text(ctx context.Context, s *session) ([]byte, error) {
	if d.from == "" {
		_, raw, err := s.client.Models(ctx)
		return raw, err
	}
	in := d.in
	if d.from != "-" {
		file, err := os.Open(d.from)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxDocuments+1))
	if err == nil && len(text) > maxDocuments {
		err = fmt.Errorf("%s has more than %d bytes", d.from, maxDocuments)
	}
	return text, err
}

// add takes one document. The history is not looked at: list and show leave it out.
func (d *documents) add(text []byte) {
	var m catalog.Model
	err := json.Unmarshal(text, &m)
	m.History, m.Archived, m.Revision = nil, 0, 0
	if err == nil {
		text, err = json.Marshal(m)
	}
	var doc *catalog.Model
	if err == nil {
		doc, err = catalog.Decode(text)
	}
	d.names = append(d.names, m.Name)
	if err != nil {
		d.bad[m.Name] = err
		return
	}
	d.byName[doc.Name] = doc
}

// find gives the document of a model. The error says what there is.
func (d *documents) find(name string) (*catalog.Model, error) {
	if doc := d.byName[name]; doc != nil {
		return doc, nil
	}
	if err := d.bad[name]; err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("there is no such model: there %s", few(d.names))
}

// few lists the first ten: "are a, b", "is a", "is none", "are a, ... and 3 more".
func few(names []string) string {
	const most = 10
	switch {
	case len(names) == 0:
		return "is none"
	case len(names) == 1:
		return "is " + names[0]
	case len(names) > most:
		return fmt.Sprintf("are %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	default:
		return "are " + strings.Join(names, ", ")
	}
}
