package cache_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

// uncovered are the fields of a request that do not change its answer, each with the
// reason. Everything else, now and later, must change the key.
var uncovered = map[string]string{
	"Model":    "the digest stands for it",
	"ID":       "the caller's name for the request",
	"Schedule": "says when, not what",
	"Caller":   "decides which version answers, and the digest stands for that",
}

// TestEveryFieldChangesTheKey changes one field after the other, also inside elements, so
// that a field that is added to the vocabulary fails here until key.go covers it, or
// uncovered says why not.
func TestEveryFieldChangesTheKey(t *testing.T) {
	t.Parallel()
	t.Run("infer", func(t *testing.T) {
		t.Parallel()
		req := &scoring.InferRequest{}
		fill(reflect.ValueOf(req).Elem())
		everyField(t, reflect.ValueOf(req).Elem(), "InferRequest", func() cache.Key { return cache.InferKey(digest, req) })
	})
	t.Run("predict", func(t *testing.T) {
		t.Parallel()
		req := &scoring.PredictRequest{}
		fill(reflect.ValueOf(req).Elem())
		everyField(t, reflect.ValueOf(req).Elem(), "PredictRequest", func() cache.Key { return cache.PredictKey(digest, req) })
	})
}

// TestUncoveredFieldsExist keeps the list of exceptions short: a name in it that no request
// has any more could one day excuse another field.
func TestUncoveredFieldsExist(t *testing.T) {
	t.Parallel()
	for _, request := range []reflect.Type{reflect.TypeFor[scoring.InferRequest](), reflect.TypeFor[scoring.PredictRequest]()} {
		for name := range uncovered {
			if _, found := request.FieldByName(name); !found {
				t.Errorf("%s has no field %s", request, name)
			}
		}
	}
}

// fill gives every field a value, and every slice one element.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	default:
		change(v)
	}
}

// change gives a scalar another value, and reports false for kinds that it does not know.
func change(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		return false
	}
	return true
}

// everyField changes what is below v, one at a time, and expects another key each time.
func everyField(t *testing.T, v reflect.Value, path string, key func() cache.Key) {
	t.Helper()
	differs := func(before cache.Key, what string) {
		t.Helper()
		if key() == before {
			t.Errorf("%s %s and the key stays: cover it in key.go, or say in `uncovered` why not", path, what)
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if v.Type() == reflect.TypeFor[scoring.InferRequest]() || v.Type() == reflect.TypeFor[scoring.PredictRequest]() {
				if _, excused := uncovered[field.Name]; excused {
					continue
				}
			}
			everyField(t, v.Field(i), path+"."+field.Name, key)
		}
	case reflect.Slice:
		everyField(t, v.Index(0), path+"[0]", key)
		before, one := key(), v.Interface()
		v.Set(reflect.AppendSlice(v.Slice(0, 1), v.Slice(0, 1)))
		differs(before, "has an element more")
		before = key()
		v.Set(reflect.Zero(v.Type()))
		differs(before, "is empty")
		v.Set(reflect.ValueOf(one))
	default:
		before, was := key(), reflect.ValueOf(v.Interface())
		if !change(v) {
			t.Fatalf("%s is a %s: teach this test to change it, and key.go to cover it", path, v.Kind())
		}
		differs(before, "changes")
		v.Set(was)
	}
}

func TestFillLeavesNothingEmpty(t *testing.T) {
	t.Parallel()
	var req scoring.InferRequest
	fill(reflect.ValueOf(&req).Elem())
	if len(req.Inputs) != 1 || !slices.Equal(req.Inputs[0].Data, []byte{1}) || len(req.Inputs[0].Strings) != 1 || req.Outputs[0].Classes == 0 {
		t.Errorf("got %+v, want a value everywhere", req)
	}
}
