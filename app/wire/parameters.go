package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// parameter notes a parameter of the request; value is its JSON text. Names that the
// protocol does not know are passed over: a client may send them to any server.
func (d *inferDecoder) parameter(name string, value []byte) (err error) {
	if string(value) == "null" {
		return nil
	}
	switch name {
	case "timeout":
		d.opts.Timeout, err = decodeTimeout(value)
	case "priority":
		d.req.Schedule.Priority, err = wholeNumber(value, "parameter priority: want a whole number, 0 or more")
	case "lane":
		var lane string
		if lane, err = textOf(value, "parameter lane: want the string interactive or bulk"); err == nil {
			d.req.Schedule.Lane, err = scoring.ParseLane(lane)
			d.opts.HasLane = true
		}
	case "binary_data_output":
		d.opts.AllBinary, err = boolean(value, "parameter binary_data_output: want true or false")
	case "sequence_id":
		err = checkSequence(value)
	case "sequence_start", "sequence_end":
		// They say where a sequence begins and ends, and mean nothing without its id.
		_, err = boolean(value, "parameter "+name+": want true or false")
	default:
		if strings.HasPrefix(name, "triton_") {
			err = scoring.Errorf(scoring.Invalid, "parameter %q: names that start with triton_ are reserved: choose another", clip(name))
		}
	}
	return err
}

// decodeTimeout reads the protocol's timeout, in microseconds; 0 means none.
func decodeTimeout(value []byte) (time.Duration, error) {
	micros, err := wholeNumber(value, "parameter timeout: want a whole number of microseconds, 0 or more")
	return time.Duration(min(micros, uint64(24*time.Hour/time.Microsecond))) * time.Microsecond, err
}

// checkSequence refuses a request that belongs to a sequence: to score it alone would be a
// wrong answer. The ids 0 and "" mean that there is no sequence.
func checkSequence(id []byte) error {
	const want = `parameter sequence_id: want a whole number or a string, and here 0, "" or nothing, because sequences are not offered`
	if id[0] == '"' {
		if string(id) == `""` {
			return nil
		}
	} else if number, err := wholeNumber(id, want); err != nil || number == 0 {
		return err
	}
	return scoring.Errorf(scoring.Unimplemented, "sequences are not offered: send each request without sequence_id")
}

// outputParameter notes a parameter of a wanted output.
func (d *inferDecoder) outputParameter(out *wanted, name string, value []byte) (err error) {
	if string(value) == "null" {
		return nil
	}
	switch {
	case name == "binary_data":
		out.binary, err = boolean(value, "parameter binary_data of an output: want true or false")
		out.said = true
	case name == "classification":
		var classes uint64
		classes, err = wholeNumber(value, "parameter classification of an output: want a whole number of classes, 0 or more")
		out.Classes = int(min(classes, math.MaxInt32))
	case strings.HasPrefix(name, "shared_memory_"):
		err = noSharedMemory("an output")
	}
	return err
}

// inputParameter notes a parameter of an input.
func (d *inferDecoder) inputParameter(in *inputHead, name string, value []byte) (err error) {
	if string(value) == "null" {
		return nil
	}
	switch {
	case name == "binary_data_size":
		in.binary = true
		in.size, err = wholeNumber(value, "parameter binary_data_size of an input: want a whole number of bytes, 0 or more")
	case strings.HasPrefix(name, "shared_memory_"):
		err = noSharedMemory("an input")
	}
	return err
}

func noSharedMemory(what string) error {
	return scoring.Errorf(scoring.Unimplemented, "%s names a shared memory region: shared memory is not offered, tensors travel in the body", what)
}

// wholeNumber reads a JSON number that fits an uint64; otherwise the error is want.
func wholeNumber(value []byte, want string) (uint64, error) {
	number, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return 0, scoring.Errorf(scoring.Invalid, "%s", want)
	}
	return number, nil
}

// boolean reads true or false; otherwise the error is want.
func boolean(value []byte, want string) (bool, error) {
	switch string(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, scoring.Errorf(scoring.Invalid, "%s", want)
	}
}

// textOf reads a JSON string; otherwise the error is want.
func textOf(value []byte, want string) (string, error) {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return "", scoring.Errorf(scoring.Invalid, "%s", want)
	}
	return text, nil
}
