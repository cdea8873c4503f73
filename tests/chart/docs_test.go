package chart_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// value is one of values.yaml: its path, its comment, and its default as text.
type value struct{ path, comment, standard string }

// valuesOf lists the values below a mapping. A group, which has values of its own, is listed where it has a comment.
func valuesOf(t *testing.T, node *yaml.Node, prefix string) (all []value) {
	t.Helper()
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, child := node.Content[i], node.Content[i+1]
		path, comment := prefix+key.Value, unwrapped(key.HeadComment)
		group := child.Kind == yaml.MappingNode && len(child.Content) > 0
		switch {
		case group:
			if comment != "" {
				all = append(all, value{path, comment, ""})
			}
			all = append(all, valuesOf(t, child, path+".")...)
		case comment == "":
			t.Errorf("values.yaml: %s has no comment", path)
		default:
			standard, err := json.Marshal(plainValue(t, child))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value{path, comment, string(standard)})
		}
	}
	return all
}

func plainValue(t *testing.T, node *yaml.Node) (v any) {
	t.Helper()
	if err := node.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// unwrapped makes one line of a comment.
func unwrapped(comment string) string {
	var words []string
	for line := range strings.Lines(comment) {
		words = append(words, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#")))
	}
	return strings.Join(words, " ")
}

func chartValues(t *testing.T) []value {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(chart, "values.yaml"))), &document); err != nil {
		t.Fatal(err)
	}
	return valuesOf(t, document.Content[0], "")
}

// TestSchemaDescribesEveryValue: the schema has each value of values.yaml, with its comment, and no others.
func TestSchemaDescribesEveryValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(chart, "values.schema.json")
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, path)), &schema); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, v := range chartValues(t) {
		want[v.path] = v.comment
	}
	describe(t, schema, "", want)
	for path := range want {
		t.Errorf("the schema has no %s", path)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	check(t, path, text.String())
}

// describe gives each property its description out of want, from which it is taken.
func describe(t *testing.T, schema map[string]any, prefix string, want map[string]string) {
	t.Helper()
	properties := asMap(schema["properties"])
	for name, each := range properties {
		property, path := asMap(each), prefix+name
		switch comment, there := want[path]; {
		case there:
			property["description"] = comment
			delete(want, path)
		case path == "global":
			continue
		case property["properties"] == nil:
			// Which has no default.
			if name != "ephemeral-storage" {
				t.Errorf("values.yaml has no %s", path)
			}
		}
		if property["properties"] != nil {
			if open, set := property["additionalProperties"].(bool); !set || open {
				t.Errorf("%s takes whatever comes: want additionalProperties: false", path)
			}
			describe(t, property, path+".", want)
		}
	}
}

var valuesTable = regexp.MustCompile(`(?s)<!-- values -->\n.*?<!-- values -->\n`)

func TestReadmeListsEveryValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(chart, "README.md")
	readme := read(t, path)
	if len(valuesTable.FindAllString(readme, -1)) != 1 {
		t.Fatalf("%s has no table between two lines <!-- values -->", path)
	}
	var table strings.Builder
	table.WriteString("<!-- values -->\n| value | default | meaning |\n|---|---|---|\n")
	for _, v := range chartValues(t) {
		standard := ""
		if v.standard != "" {
			standard = "`" + v.standard + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", v.path, standard, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(v.comment))
	}
	table.WriteString("<!-- values -->\n")
	check(t, path, valuesTable.ReplaceAllLiteralString(readme, table.String()))
}

// check compares a file with what it is to be, and writes it under -update.
func check(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, path) != want {
		t.Errorf("%s does not say what values.yaml says: run go test ./tests/chart -update", path)
	}
}
