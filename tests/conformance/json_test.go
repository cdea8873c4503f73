package conformance_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// encodeJSON gives the elements as a flat array.
func encodeJSON(t tensor) (json.RawMessage, error) {
	if t.datatype == "BYTES" {
		all, err := t.strings()
		texts := make([]string, len(all))
		for i, s := range all {
			texts[i] = string(s)
		}
		data, _ := json.Marshal(texts)
		return data, err
	}
	out := []byte{'['}
	for element := range slices.Chunk(t.data, sizeOf(t.datatype)) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = appendElement(out, t.datatype, element)
	}
	return append(out, ']'), nil
}

// appendElement writes one number; floats in as many digits as give the same bits back.
func appendElement(out []byte, datatype string, element []byte) []byte {
	var wide [8]byte
	copy(wide[:], element)
	bits := binary.LittleEndian.Uint64(wide[:])
	unused := 64 - 8*len(element)
	switch datatype {
	case "BOOL":
		return strconv.AppendBool(out, bits != 0)
	case "FP32":
		return strconv.AppendFloat(out, float64(math.Float32frombits(uint32(bits))), 'g', -1, 32)
	case "FP64":
		return strconv.AppendFloat(out, math.Float64frombits(bits), 'g', -1, 64)
	case "INT8", "INT16", "INT32", "INT64":
		return strconv.AppendInt(out, int64(bits<<unused)>>unused, 10)
	default:
		return strconv.AppendUint(out, bits, 10)
	}
}

// decodeJSON reads the elements into t, whose datatype is set.
func decodeJSON(t *tensor, raw json.RawMessage) error {
	t.data = []byte{}
	if t.datatype == "BYTES" {
		var texts []string
		err := json.Unmarshal(raw, &texts)
		for _, text := range texts {
			t.data = append(t.data, join([][]byte{[]byte(text)})...)
		}
		return err
	}
	var values []any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		return err
	}
	size := sizeOf(t.datatype)
	for _, value := range values {
		bits, err := parse(t.datatype, size, value)
		if err != nil {
			return err
		}
		t.data = append(t.data, binary.LittleEndian.AppendUint64(nil, bits)[:size]...)
	}
	return nil
}

// parse gives the bits of a value, the low ones first.
func parse(datatype string, size int, value any) (uint64, error) {
	if flag, ok := value.(bool); ok && datatype == "BOOL" {
		if flag {
			return 1, nil
		}
		return 0, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%v is no %s", value, datatype)
	}
	switch datatype {
	case "FP32":
		v, err := strconv.ParseFloat(number.String(), 32)
		return uint64(math.Float32bits(float32(v))), err
	case "FP64":
		v, err := number.Float64()
		return math.Float64bits(v), err
	case "INT8", "INT16", "INT32", "INT64":
		v, err := strconv.ParseInt(number.String(), 10, 8*size)
		return uint64(v), err
	default:
		return strconv.ParseUint(number.String(), 10, 8*size)
	}
}
