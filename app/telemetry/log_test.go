package telemetry_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/telemetry"
)

func TestLogFormats(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tests := []struct {
		name, format string
		json         bool
	}{
		{"json", "json", true},
		{"auto on something else than a terminal", "auto", true},
		{"console", "console", false},
		{"unknown", "text", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			logger := telemetry.NewLogger(&out, "info", test.format)
			logger.Info().Str("model", "m@1").Msg("loaded")
			var line struct {
				Level, Model, Message string
				Time                  time.Time
			}
			err := json.Unmarshal(out.Bytes(), &line)
			if (err == nil) != test.json {
				t.Fatalf("got %q, %v, want JSON %v", out.String(), err, test.json)
			}
			if test.json && (line.Level != "info" || line.Model != "m@1" || line.Message != "loaded" || time.Since(line.Time) > time.Hour) {
				t.Errorf("got %+v, want level, model, message and time", line)
			}
			if !test.json && (!strings.Contains(out.String(), "loaded") || !strings.Contains(out.String(), "m@1")) {
				t.Errorf("got %q, want message and model", out.String())
			}
		})
	}
	// A file is no terminal: a log that is sent to one stays JSON.
	logger := telemetry.NewLogger(file, "info", "auto")
	logger.Info().Msg("loaded")
	if text, err := os.ReadFile(file.Name()); err != nil || !json.Valid(text) {
		t.Errorf("got %q, %v, want JSON", text, err)
	}
}

// TestAutoOnATerminal takes the one character device that is everywhere for a terminal.
func TestAutoOnATerminal(t *testing.T) {
	t.Parallel()
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]*os.File{"device": device, "closed file": closed} {
		if got := telemetry.NewLogger(out, "warn", "auto").GetLevel(); got != zerolog.WarnLevel {
			t.Errorf("%s: got level %s, want warn", name, got)
		}
	}
	if err := device.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	all := []zerolog.Level{zerolog.TraceLevel, zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel}
	tests := []struct {
		name, level string
		lowest      zerolog.Level
	}{
		{"trace", "trace", zerolog.TraceLevel},
		{"debug", "debug", zerolog.DebugLevel},
		{"info", "info", zerolog.InfoLevel},
		{"warn", "warn", zerolog.WarnLevel},
		{"error", "error", zerolog.ErrorLevel},
		{"unknown means info", "verbose", zerolog.InfoLevel},
		{"empty means info", "", zerolog.InfoLevel},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, level := range all {
				var out bytes.Buffer
				logger := telemetry.NewLogger(&out, test.level, "json")
				event := map[zerolog.Level]func() *zerolog.Event{
					zerolog.TraceLevel: logger.Trace, zerolog.DebugLevel: logger.Debug, zerolog.InfoLevel: logger.Info,
					zerolog.WarnLevel: logger.Warn, zerolog.ErrorLevel: logger.Error,
				}[level]
				event().Msg("hello")
				if got, want := out.Len() > 0, level >= test.lowest; got != want {
					t.Errorf("a message of level %s: got logged %v, want %v", level, got, want)
				}
			}
		})
	}
}
