package telemetry

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/telemetry/spans"
)

// NewLogger makes the process's logger. It writes JSON lines, or text for people where
// format is "console", or is "auto" and out is a terminal. level must be one that
// zerolog knows; anything else means info.
//
// A line that is given a context with a span has its trace_id and span_id. secrets are hidden
// wherever they stand, and so is what looks like one: see secrets in redact.go.
func NewLogger(out io.Writer, level, format string, secrets ...string) zerolog.Logger {
	parsed, err := zerolog.ParseLevel(level)
	if err != nil || parsed == zerolog.NoLevel { // the level of "", which would hide every message
		parsed = zerolog.InfoLevel
	}
	people := format == "console" || format == "auto" && terminal(out)
	out = newRedactor(out, secrets)
	if people {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(parsed).With().Timestamp().Logger().Hook(spans.Log{})
}

// terminal says whether w is a character device, which a file or a pipe is not.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
