package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// processingTimeout is how long an event stays with a sidecar that was killed. It is shorter
// than in components/redis, or a run would wait most of its time.
const processingTimeout = 4 * time.Second

// writeComponents copies components/redis for an app, with the address of the server. Only
// kinds that are in only are copied; none stands for all.
func writeComponents(root, to, appID, redis string, only ...string) error {
	changes := map[string]string{
		"redisHost": redis, "processingTimeout": processingTimeout.String(), "redeliverInterval": "1000",
	}
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "components", "redis", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("there are no files in components/redis (%w)", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // a file of the repository
		if err == nil {
			text, err = adapt(text, appID, changes, only)
		}
		if err == nil && len(text) > 0 {
			err = os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o600) //nolint:gosec // names of the repository
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", file, err)
		}
	}
	return nil
}

// adapt changes the documents of a file.
func adapt(text []byte, appID string, changes map[string]string, only []string) ([]byte, error) {
	var out bytes.Buffer
	decoder, encoder := yaml.NewDecoder(bytes.NewReader(text)), yaml.NewEncoder(&out)
	written := 0
	for {
		var resource map[string]any
		if err := decoder.Decode(&resource); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		kind, _ := resource["kind"].(string)
		if len(only) > 0 && !slices.Contains(only, kind+" "+nameOf(resource)) {
			continue
		}
		resource["scopes"] = []string{appID}
		spec, _ := resource["spec"].(map[string]any)
		items, _ := spec["metadata"].([]any)
		for _, item := range items {
			item, _ := item.(map[string]any)
			name, _ := item["name"].(string)
			if value, ok := changes[name]; ok {
				item["value"] = value
			}
		}
		if err := encoder.Encode(resource); err != nil {
			return nil, err
		}
		written++
	}
	if written == 0 {
		return nil, nil
	}
	return out.Bytes(), encoder.Close()
}

func nameOf(resource map[string]any) string {
	metadata, _ := resource["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}
