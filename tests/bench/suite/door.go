package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// door asks Onda's registry over HTTP.
type door struct {
	base string // up to the registry's own paths
}

// servedModel is what the bench reads of a model's answer.
type servedModel struct {
	// Versions that are registered.
	Versions map[int64]struct{} `json:"versions"`
	// Serving is what the replica does that was asked.
	Serving struct {
		Labels   map[string]int64 `json:"labels"`
		Versions []servedVersion  `json:"versions"`
	} `json:"serving"`
}

// servedVersion is a version on the replica that was asked.
type servedVersion struct {
	Version     int64     `json:"version"`
	State       string    `json:"state"`
	MemoryBytes int64     `json:"memory_bytes"`
	LoadedAt    time.Time `json:"loaded_at"`
}

// version finds a version of the replica's.
func (m servedModel) version(number int64) servedVersion {
	for _, v := range m.Serving.Versions {
		if v.Version == number {
			return v
		}
	}
	return servedVersion{Version: number}
}

// model asks for a model.
func (d door) model(ctx context.Context, name string) (m servedModel, err error) {
	err = d.do(ctx, http.MethodGet, "/registry/v1/models/"+name, nil, &m)
	return m, err
}

// label moves a label.
func (d door) label(ctx context.Context, model, label string, version int64) error {
	return d.do(ctx, http.MethodPut, "/registry/v1/models/"+model+"/labels/"+label, map[string]any{"version": version, "reason": "bench"}, nil)
}

// do asks, and reads the answer into out, if it is not nil.
func (d door) do(ctx context.Context, method, path string, body, out any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	return fetch(ctx, http.DefaultClient, method, d.base+path, text, out)
}

// fetch asks for JSON, and reads the answer into out, if it is not nil.
func fetch(ctx context.Context, client *http.Client, method, url string, body []byte, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("content-type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: status %d: %.300s", method, url, response.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// metrics reads series of Onda's metrics: names with their labels, as the page writes them.
func metrics(ctx context.Context, address string, series ...string) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return parseMetrics(string(page), series...)
}

// parseMetrics finds series on a page of metrics. One that is not there is 0, as a counter
// that nothing has counted yet is not; a page without any of them is another program's.
func parseMetrics(page string, series ...string) (map[string]float64, error) {
	found := map[string]float64{}
	for line := range strings.Lines(page) {
		for _, name := range series {
			text, ok := strings.CutPrefix(line, name+" ")
			if !ok {
				continue
			}
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				return nil, fmt.Errorf("metric %s: %w", name, err)
			}
			found[name] = value
		}
	}
	if len(found) == 0 {
		return nil, errors.New("the page has none of the metrics " + strings.Join(series, ", "))
	}
	return found, nil
}
