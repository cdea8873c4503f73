package ondatest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Backend says what a sidecar keeps state and events in.
type Backend struct {
	// folder holds the components that take the place of the local ones; "" for none.
	folder string
	// state is another folder, whose statestore.yaml takes the place of the local one; "" for none.
	state string
	// values replace metadata of components: by the component's name, and the item's.
	values map[string]map[string]string
}

// SQLite keeps state in a file, which replicas on one machine can share, and events in each
// sidecar.
func SQLite(file string) Backend {
	return Backend{values: map[string]map[string]string{"statestore": {"connectionString": file}}}
}

// With is the backend with other settings of the broker, for events and for dead letters.
func (b Backend) With(settings map[string]string) Backend {
	values := map[string]map[string]string{}
	for name, own := range b.values {
		values[name] = maps.Clone(own)
		if name != "statestore" {
			maps.Copy(values[name], settings)
		}
	}
	return Backend{folder: b.folder, state: b.state, values: values}
}

// Only is the backend with these values of the broker, names and values in turn, and no others:
// what the files have of it stands.
func (b Backend) Only(pairs ...string) Backend {
	broker := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		broker[pairs[i]] = pairs[i+1]
	}
	return Backend{folder: b.folder, state: b.state, values: map[string]map[string]string{"statestore": b.values["statestore"], "pubsub": broker, "deadletters": broker}}
}

// WithStateOn is the backend with its state in the Redis at an address.
func (b Backend) WithStateOn(redis string) Backend {
	values := maps.Clone(b.values)
	values["statestore"] = map[string]string{"redisHost": redis}
	return Backend{folder: b.folder, state: "redis", values: values}
}

// Backend keeps state and events in the server.
func (r *RedisServer) Backend() Backend { return RedisAt(r.Addr) }

// RedisAt keeps state and events in the server at an address, which is nobody else's.
func RedisAt(address string) Backend {
	host := map[string]string{"redisHost": address}
	return Backend{folder: "redis", values: map[string]map[string]string{"statestore": host, "pubsub": host, "deadletters": host}}
}

// Components writes the components that users run with into a folder of the test's, for the
// app appID and on the backend b, and gives the folder. They are those of components/local,
// with the backend's own in place of the files of the same name.
func Components(t *testing.T, appID string, b Backend) string {
	t.Helper()
	to := t.TempDir()
	if err := WriteComponents(to, appID, b); err != nil {
		t.Fatal(err)
	}
	return to
}

// WriteComponents is [Components] for programs that are no tests. The folder must be there.
func WriteComponents(to, appID string, b Backend) error {
	root, err := Root()
	if err != nil {
		return err
	}
	files := map[string]string{}
	folders := []string{"local"}
	if b.folder != "" {
		folders = append(folders, b.folder)
	}
	for _, folder := range folders {
		found, err := filepath.Glob(filepath.Join(root, "components", folder, "*.yaml"))
		if err != nil || len(found) == 0 {
			return fmt.Errorf("there are no components in components/%s (%w)", folder, err)
		}
		for _, file := range found {
			files[filepath.Base(file)] = file
		}
	}
	if b.state != "" {
		const name = "statestore.yaml"
		files[name] = filepath.Join(root, "components", b.state, name)
	}
	replaced := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		n, err := adapt(files[name], filepath.Join(to, name), appID, b.values)
		if err != nil {
			return err
		}
		replaced += n
	}
	want := 0
	for _, values := range b.values {
		want += len(values)
	}
	if replaced != want {
		return fmt.Errorf("%d values of the components could be replaced: want %d, or tests would share what is behind them", replaced, want)
	}
	return nil
}

// adapt copies a component for an app, and counts the values that it replaced.
func adapt(from, to, appID string, values map[string]map[string]string) (replaced int, err error) {
	text, err := os.ReadFile(from) //nolint:gosec // a file of the repository
	if err != nil {
		return 0, fmt.Errorf("read a component: %w", err)
	}
	var out bytes.Buffer
	documents, encoder := yaml.NewDecoder(bytes.NewReader(text)), yaml.NewEncoder(&out)
	for {
		var c map[string]any
		err := documents.Decode(&c)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", from, err)
		}
		replaced += adaptOne(c, appID, values)
		if err := encoder.Encode(c); err != nil {
			return 0, fmt.Errorf("write %s: %w", to, err)
		}
	}
	if err := os.WriteFile(to, out.Bytes(), 0o600); err != nil {
		return 0, fmt.Errorf("write a component: %w", err)
	}
	return replaced, nil
}

// adaptOne gives a component its app and its values, and counts those.
func adaptOne(c map[string]any, appID string, values map[string]map[string]string) (replaced int) {
	if _, scoped := c["scopes"]; scoped {
		c["scopes"] = []string{appID}
	}
	meta, _ := c["metadata"].(map[string]any)
	spec, _ := c["spec"].(map[string]any)
	items, _ := spec["metadata"].([]any)
	name, _ := meta["name"].(string)
	for _, item := range items {
		item, _ := item.(map[string]any)
		key, _ := item["name"].(string)
		if value, ok := values[name][key]; ok {
			item["value"] = value
			delete(item, "secretKeyRef")
			replaced++
		}
	}
	return replaced
}
