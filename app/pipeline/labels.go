package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// byteOrderMark opens many text files that were saved on Windows.
var byteOrderMark = []byte("\ufeff")

// readFile reads a file of the version, without its byte order mark. The error begins
// with the manifest key that named the file.
func readFile(files fs.FS, key, name string) ([]byte, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("%s: read file: %w", key, err)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: file %s is not text in UTF-8", key, name)
	}
	return bytes.TrimPrefix(data, byteOrderMark), nil
}

// readLabels reads the names of the classes: a JSON array, or a JSON object with the keys
// "0" to "n-1", from a file whose name ends in .json; otherwise one name a line.
func readLabels(files fs.FS, key, name string) ([]string, error) {
	data, err := readFile(files, key, name)
	if err != nil {
		return nil, err
	}
	var labels []string
	switch {
	case path.Ext(name) != ".json":
		labels = strings.Split(strings.TrimRight(string(data), "\r\n"), "\n")
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		labels, err = labelsByIndex(data)
	default:
		err = json.Unmarshal(data, &labels)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: file %s: %w", key, name, err)
	}
	for i := range labels {
		labels[i] = strings.TrimSpace(labels[i])
		if labels[i] == "" {
			return nil, fmt.Errorf("%s: file %s: the name of class %d is empty", key, name, i)
		}
	}
	if len(labels) == 0 {
		return nil, fmt.Errorf("%s: file %s holds no names", key, name)
	}
	return labels, nil
}

// labelsByIndex reads {"0": "tench", "1": "goldfish"}, in any order but without a gap.
func labelsByIndex(data []byte) ([]string, error) {
	var byIndex map[string]string
	if err := json.Unmarshal(data, &byIndex); err != nil {
		return nil, err
	}
	labels := make([]string, len(byIndex))
	for i := range labels {
		label, ok := byIndex[strconv.Itoa(i)]
		if !ok {
			return nil, fmt.Errorf("has %d names but none with the key %q", len(labels), strconv.Itoa(i))
		}
		labels[i] = label
	}
	return labels, nil
}

// readTable reads the entries of a FAQ. Scores are left 0.
func readTable(files fs.FS, key, name string) ([]scoring.Match, error) {
	data, err := readFile(files, key, name)
	if err != nil {
		return nil, err
	}
	// Not []scoring.Match itself: an entry of the file has no score.
	var entries []struct {
		ID       string `json:"id"`
		Question string `json:"question"`
		Answer   string `json:"answer"`
	}
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("%s: file %s: %w", key, name, err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: file %s holds no entries", key, name)
	}
	table := make([]scoring.Match, len(entries))
	seen := make(map[string]int, len(entries))
	for i, e := range entries {
		if e.ID == "" || e.Question == "" || e.Answer == "" {
			return nil, fmt.Errorf("%s: file %s: entry %d needs an id, a question and an answer", key, name, i)
		}
		if first, ok := seen[e.ID]; ok {
			return nil, fmt.Errorf("%s: file %s: entries %d and %d have the same id %q", key, name, first, i, e.ID)
		}
		seen[e.ID] = i
		table[i] = scoring.Match{ID: e.ID, Question: e.Question, Answer: e.Answer}
	}
	return table, nil
}
