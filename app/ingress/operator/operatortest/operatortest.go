// Package operatortest has what the tests of the doors for operators share.
package operatortest

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Token is what lets the requests of [Call] in.
const Token = "s3cret"

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Call sends a request with the token and a body of JSON; headers are "Name: value", and may
// say otherwise.
func Call(t *testing.T, client http.RoundTripper, method, url, body string, headers ...string) Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+Token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := client.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// Failure is the body of a failure with this text.
func Failure(message string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(map[string]string{"error": message}) // of texts, which are all JSON
	return strings.TrimSpace(b.String())
}

// OpenAPI checks that openapi.yaml in the folder of the test describes exactly these routes of
// http.ServeMux, and that what it refers to is in it. It gives the schemas.
func OpenAPI(t *testing.T, patterns []string) (schemas map[string]any) {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		OpenAPI    string                    `yaml:"openapi"`
		Paths      map[string]map[string]any `yaml:"paths"`
		Components map[string]map[string]any `yaml:"components"`
	}
	var all map[string]any
	if yaml.Unmarshal(text, &api) != nil || yaml.Unmarshal(text, &all) != nil || !strings.HasPrefix(api.OpenAPI, "3.1.") {
		t.Fatal("openapi.yaml is not in the form of OpenAPI 3.1")
	}
	var described []string
	for path, item := range api.Paths {
		for method := range item {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(described)
	slices.Sort(patterns)
	if !slices.Equal(described, patterns) {
		t.Errorf("openapi.yaml describes\n%s\nand the door answers\n%s", strings.Join(described, "\n"), strings.Join(patterns, "\n"))
	}
	if found := references(t, all, all); found < len(described) {
		t.Errorf("found %d references: the test looks in the wrong place", found)
	}
	return api.Components["schemas"]
}

// references counts the references in v, which must be to something in all.
func references(t *testing.T, all, v any) (found int) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			found++
			at := all
			for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				object, _ := at.(map[string]any)
				if at = object[name]; at == nil {
					t.Fatalf("%s is not there", ref)
				}
			}
		}
		for _, child := range v {
			found += references(t, all, child)
		}
	case []any:
		for _, child := range v {
			found += references(t, all, child)
		}
	}
	return found
}

// Fits checks that a schema of an object has the fields that v, a value with all of them, has in
// JSON, and no others.
func Fits(t *testing.T, schema, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	object, _ := schema.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	for name := range value {
		if properties[name] == nil {
			t.Errorf("%T has %q, the schema does not", v, name)
		}
	}
	for name := range properties {
		if _, ok := value[name]; !ok {
			t.Errorf("the schema has %q, %T does not", name, v)
		}
	}
}
