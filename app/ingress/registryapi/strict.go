package registryapi

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// decode reads the body of a change. Unlike encoding/json alone it takes no key that it does
// not know, none in other letters and none twice: a change must not do less, or something
// else, than its text says. No body at all is an empty object. The error is a [scoring.Error]
// with code Invalid that names the place.
func decode(body []byte, into any) error {
	if body == nil {
		body = []byte("{}")
	}
	if !utf8.Valid(body) {
		return scoring.Errorf(scoring.Invalid, "the body is not valid UTF-8")
	}
	// The syntax comes first, so that what looks at the keys can rely on it.
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, new(json.RawMessage)); errors.As(err, &syntax) {
		return scoring.Errorf(scoring.Invalid, "the body is not valid JSON near offset %d: %s", syntax.Offset, syntax.Error())
	}
	if bytes.TrimLeft(body, " \t\r\n")[0] != '{' {
		return scoring.Errorf(scoring.Invalid, "the body is no JSON object: want one, such as {}")
	}
	if err := (&keys{json.NewDecoder(bytes.NewReader(body))}).value("", reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	return explain(json.Unmarshal(body, into))
}

// explain words the errors of encoding/json.
func explain(err error) error {
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind):
		field := strings.TrimPrefix(kind.Field, "common.") // which callers know nothing of
		return scoring.Errorf(scoring.Invalid, "%q is a JSON %s: want %s", operator.Clip(field), operator.Clip(kind.Value), wanted(kind.Type))
	default: // a text that its type does not take, such as a duration
		return scoring.Errorf(scoring.Invalid, "the body: %s", operator.Clip(err.Error())).WithCause(err)
	}
}

// wanted names a Go type in JSON's words.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Pointer:
		return wanted(t.Elem())
	default:
		return "a whole number"
	}
}

// keys looks at every key of a valid JSON text.
type keys struct{ *json.Decoder }

// value reads a value that belongs into t.
func (k *keys) value(path string, t reflect.Type) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	fields, element := shapeOf(t)
	if fields == nil && element == nil {
		// It has no keys, or json.Unmarshal says that it should have none.
		return ignoreEnd(k.Decode(new(json.RawMessage)))
	}
	token, err := k.Token()
	switch {
	case err != nil:
		return scoring.InternalError(err) // the text is valid
	case token == json.Delim('{'):
		return k.object(path, fields, element)
	case token == json.Delim('['):
		for i := 0; k.More(); i++ {
			if err := k.value(path+"["+strconv.Itoa(i)+"]", element); err != nil {
				return err
			}
		}
		_, err = k.Token()
		return ignoreEnd(err)
	default:
		return nil
	}
}

// object reads the rest of an object.
func (k *keys) object(path string, fields map[string]reflect.Type, element reflect.Type) error {
	seen := map[string]bool{}
	for k.More() {
		token, err := k.Token()
		if err != nil {
			return scoring.InternalError(err)
		}
		name, _ := token.(string)
		place := strings.TrimPrefix(path+"."+name, ".")
		if seen[name] {
			return scoring.Errorf(scoring.Invalid, "%q is there twice: want it once", operator.Clip(place))
		}
		seen[name] = true
		into := element
		if fields != nil {
			var known bool
			if into, known = fields[name]; !known {
				return scoring.Errorf(scoring.Invalid, "unknown key %q: want %s", operator.Clip(place), strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			}
		}
		if err := k.value(place, into); err != nil {
			return err
		}
	}
	_, err := k.Token()
	return ignoreEnd(err)
}

func ignoreEnd(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return scoring.InternalError(err)
}

var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

// shapeOf gives the keys that an object may have, with their types; nil where it may have
// any. element is the type of the values then, and of those of an array. Both are nil for what
// has no keys and elements.
func shapeOf(t reflect.Type) (fields map[string]reflect.Type, element reflect.Type) {
	switch {
	case t == nil || reflect.PointerTo(t).Implements(textType):
		return nil, nil
	case t.Kind() == reflect.Map || t.Kind() == reflect.Slice:
		return nil, t.Elem()
	case t.Kind() != reflect.Struct:
		return nil, nil
	}
	fields = map[string]reflect.Type{}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" {
			embedded, _ := shapeOf(field.Type)
			maps.Copy(fields, embedded)
			continue
		}
		if name != "" && name != "-" {
			fields[name] = field.Type
		}
	}
	return fields, nil
}
