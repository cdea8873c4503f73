package triton

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onda-serving/onda/app/triton/configpb"
)

// MarshalJSON writes a configuration as Triton's server does: names as in the .proto file,
// in its order; numbers, texts, lists and maps also where they have their default, messages
// only where they are set; enums by name; and 64-bit integers as numbers, where the JSON
// form of Protocol Buffers would have strings. (Triton's ModelConfigToJson, in
// src/model_config_utils.cc of its core, turns them back; clients calculate with them.)
func MarshalJSON(cfg *configpb.ModelConfig) ([]byte, error) {
	return appendMessage(nil, cfg.ProtoReflect())
}

func appendMessage(b []byte, m protoreflect.Message) ([]byte, error) {
	b = append(b, '{')
	fields := m.Descriptor().Fields()
	for i, first := 0, true; i < fields.Len(); i++ {
		field := fields.Get(i)
		if field.HasPresence() && !m.Has(field) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(strconv.AppendQuote(b, string(field.Name())), ':')
		var err error
		if b, err = appendField(b, field, m.Get(field)); err != nil {
			return nil, fmt.Errorf("%s: %w", field.FullName(), err)
		}
	}
	return append(b, '}'), nil
}

func appendField(b []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch {
	case field.IsMap():
		return appendMap(b, field.MapValue(), v.Map())
	case field.IsList():
		return appendList(b, field, v.List())
	default:
		return appendValue(b, field, v)
	}
}

func appendList(b []byte, field protoreflect.FieldDescriptor, list protoreflect.List) ([]byte, error) {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, field, list.Get(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendMap writes the entries by key, so that the same configuration is the same text.
func appendMap(b []byte, field protoreflect.FieldDescriptor, entries protoreflect.Map) ([]byte, error) {
	b = append(b, '{')
	for i, key := range sortedKeys(entries) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendText(b, key.String()); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = appendValue(b, field, entries.Get(key)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// sortedKeys lists the keys of a map; numbers by value.
func sortedKeys(entries protoreflect.Map) []protoreflect.MapKey {
	keys := make([]protoreflect.MapKey, 0, entries.Len())
	for key := range entries.Range {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(x, y protoreflect.MapKey) int {
		a, b := x.String(), y.String()
		if _, number := x.Interface().(uint64); number && len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return keys
}

func appendValue(b []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(b, v.Message())
	case protoreflect.EnumKind:
		if name := field.Enum().Values().ByNumber(v.Enum()); name != nil {
			return strconv.AppendQuote(b, string(name.Name())), nil
		}
		return strconv.AppendInt(b, int64(v.Enum()), 10), nil // a value of a later Triton
	case protoreflect.StringKind:
		return appendText(b, v.String())
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%v is no number in JSON", f)
		}
		return strconv.AppendFloat(b, v.Float(), 'g', -1, bits(field)), nil
	default:
		return fmt.Append(b, v.Interface()), nil // bool and integers
	}
}

func bits(field protoreflect.FieldDescriptor) int {
	if field.Kind() == protoreflect.FloatKind {
		return 32
	}
	return 64
}

func appendText(b []byte, s string) ([]byte, error) {
	text, err := json.Marshal(s)
	return append(b, text...), err
}
