package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/config"
)

func TestSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want config.Size
		form string
	}{
		{"0", 0, "0"},
		{"1", 1, "1"},
		{"1023", 1023, "1023"},
		{"1024", 1024, "1Ki"},
		{"1Ki", 1024, "1Ki"},
		{"512Ki", 512 << 10, "512Ki"},
		{"1536Ki", 1536 << 10, "1536Ki"},
		{"1024Ki", 1 << 20, "1Mi"},
		{"32Mi", 32 << 20, "32Mi"},
		{"2Gi", 2 << 30, "2Gi"},
		{"8589934591Gi", 8589934591 << 30, "8589934591Gi"},
		{"9223372036854775807", math.MaxInt64, "9223372036854775807"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			var got config.Size
			if err := got.Decode(test.text); err != nil || got != test.want {
				t.Fatalf("got %d, %v, want %d", got, err, test.want)
			}
			if form := got.String(); form != test.form {
				t.Errorf("got the form %q, want %q", form, test.form)
			}
		})
	}
}

func TestSizeRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Mi", "-1", "-1Ki", "1.5Mi", "32MB", "32M", "32mi", "32 Mi", " 32Mi", "1e6", "0x10", "1Ki Ki", "8589934592Gi", "9223372036854775808"} {
		size := config.Size(7)
		err := size.Decode(text)
		if want := fmt.Sprintf("size %q: want a number of bytes, or one with Ki, Mi or Gi", text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
		if size != 7 {
			t.Errorf("%q: got %d after an error, want 7 as before", text, size)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, text := range []string{"0", "32Mi", "1Ki", "-1", "9223372036854775807", "1Gi", "Ki"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var size, again config.Size
		if size.Decode(text) != nil {
			return
		}
		if size < 0 {
			t.Fatalf("%q: got %d, want 0 or more", text, size)
		}
		if err := again.Decode(size.String()); err != nil || again != size {
			t.Fatalf("%q: got %d as %q, read as %d, %v", text, size, size, again, err)
		}
	})
}

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const value = "hunter2"
	secret := config.Secret(value)
	cfg := config.Config{AppAPIToken: secret, DaprAPIToken: secret}
	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().Stringer("stringer", secret).Interface("interface", secret).Any("any", cfg).Msgf("%v %s", secret, secret)
	encoded, err := json.Marshal(map[string]any{"secret": secret, "config": cfg})
	if err != nil {
		t.Fatal(err)
	}
	printed := map[string]string{"log": log.String(), "JSON": string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s"} {
		printed[verb] = fmt.Sprintf(verb, secret)
		printed[verb+" of a pointer"] = fmt.Sprintf(verb, &secret)
		printed[verb+" of the settings"] = fmt.Sprintf(verb, cfg)
	}
	for how, text := range printed {
		if strings.Contains(text, value) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", value)) {
			t.Errorf("%s: got %s, want the value hidden", how, text)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if got, want := fmt.Sprintf(verb, secret), "(set)"; got != want {
			t.Errorf("%s: got %q, want %q", verb, got, want)
		}
	}
	if got := fmt.Sprint(config.Secret("")); got != "" {
		t.Errorf("an empty one: got %q, want nothing", got)
	}
	if got := secret.Reveal(); got != value {
		t.Errorf("Reveal: got %q, want %q", got, value)
	}
}
