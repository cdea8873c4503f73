package chart_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// understood is how a refusal begins that says which value is wrong: the schema's by its path, the templates' by its name.
var understood = regexp.MustCompile(`(?m)^- at '(/[^']+)?': |execution error at \(onda/templates/[^)]+\): [a-z][A-Za-z]+(\.[a-zA-Z]+)*[ :]`)

// FuzzValues changes a value of a profile. The chart must refuse it and name it, or render what keeps all that always holds.
func FuzzValues(f *testing.F) {
	names := profileNames(f)
	paths := leaves(defaults(f), nil)
	if len(paths) < 100 {
		f.Fatalf("only %d values to change", len(paths))
	}
	hostile := "a\"'\n- b: {{ .Values }} # \\ \x00 é"
	for i := range paths {
		if i%6 == 0 {
			f.Add(uint8(i), uint16(i), uint8(i), hostile, int64(i))
		}
	}
	f.Add(uint8(0), uint16(0), uint8(0), "", int64(1<<62))
	f.Fuzz(func(t *testing.T, which uint8, where uint16, kind uint8, text string, number int64) {
		name := names[int(which)%len(names)]
		path := paths[int(where)%len(paths)]
		values, err := json.Marshal(nested(path, mutated(kind, text, number)))
		if err != nil {
			t.Fatal(err)
		}
		manifests, problems, err := template(t, append(profile(t, name), "-f", valuesFile(t, string(values)))...)
		if err != nil {
			if !understood.MatchString(problems) {
				t.Errorf("%s with %s: the refusal names no value: %s", name, values, problems)
			}
			return
		}
		for _, problem := range broken(decode(t, manifests)) {
			t.Errorf("%s with %s: %s", name, values, problem)
		}
	})
}

// mutated makes a value of any kind.
func mutated(kind uint8, text string, number int64) any {
	switch kind % 8 {
	case 0:
		return text
	case 1:
		return number
	case 2:
		return number%2 == 0
	case 3:
		return []any{text}
	case 4:
		return map[string]any{text: text}
	case 5:
		return nil
	case 6:
		return float64(number) / 1000
	default:
		return strings.Repeat("a", int(uint64(number)%300))
	}
}

func nested(path []string, value any) any {
	for _, key := range slices.Backward(path) {
		value = map[string]any{key: value}
	}
	return value
}

func defaults(t testing.TB) map[string]any {
	t.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(read(t, chart+"/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// leaves lists the paths of all values and groups.
func leaves(values map[string]any, prefix []string) (paths [][]string) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		path := append(slices.Clone(prefix), key)
		paths = append(paths, path)
		if group, is := values[key].(map[string]any); is {
			paths = append(paths, leaves(group, path)...)
		}
	}
	return paths
}

// TestEveryValueMayBeMissing: a value that is taken away (null) is refused by its name, and never meets a template unprepared.
func TestEveryValueMayBeMissing(t *testing.T) {
	t.Parallel()
	schema := read(t, chart+"/values.schema.json")
	var document map[string]any
	if err := json.Unmarshal([]byte(schema), &document); err != nil {
		t.Fatal(err)
	}
	for _, path := range leaves(defaults(t), nil) {
		group := document
		for _, key := range path[:len(path)-1] {
			group = asMap(asMap(group["properties"])[key])
		}
		optional := len(path) > 2 && path[len(path)-3] == "resources" // cpu and memory
		if required := slices.Contains(asList(group["required"]), any(path[len(path)-1])); required == optional {
			t.Errorf("%s: required is %v", strings.Join(path, "."), required)
		}
	}
}
