package triton

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/onda-serving/onda/app/triton/configpb"
)

// MaxBytes bounds a configuration. Real ones have some kilobytes; those with long lists of
// CUDA graphs have some hundred.
const MaxBytes = 1 << 20

// Parse reads config.pbtxt. A field that Triton does not have is an error, as it is there;
// the error says the line and the column.
func Parse(pbtxt []byte) (*configpb.ModelConfig, error) {
	return parse(pbtxt, "text", func(cfg *configpb.ModelConfig) error { return prototext.Unmarshal(pbtxt, cfg) })
}

// ParseJSON reads the `config` parameter of a load request: the JSON that [MarshalJSON]
// writes, or any other JSON form of the message. The error says the line and the column.
func ParseJSON(text []byte) (*configpb.ModelConfig, error) {
	return parse(text, "JSON", func(cfg *configpb.ModelConfig) error { return protojson.Unmarshal(text, cfg) })
}

func parse(data []byte, form string, unmarshal func(*configpb.ModelConfig) error) (*configpb.ModelConfig, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("the configuration has %d bytes: at most %d are read", len(data), MaxBytes)
	}
	cfg := new(configpb.ModelConfig)
	if err := unmarshal(cfg); err != nil {
		return nil, fmt.Errorf("want the %s form of Triton's ModelConfig: %w", form, plain(err, data))
	}
	return cfg, nil
}

// plain takes the library's name off the front of an error, and the odd space behind it: it
// is of one kind or another from build to build, so that nobody compares such texts. A
// text that ends too early has no place in the library's words.
func plain(err error, data []byte) error {
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, err.Error())
	text = strings.TrimSpace(strings.TrimPrefix(text, "proto:"))
	if !strings.Contains(text, "(line ") {
		text = fmt.Sprintf("%s (line %d, the last one)", text, 1+bytes.Count(bytes.TrimSpace(data), []byte{'\n'}))
	}
	return errors.New(text)
}
