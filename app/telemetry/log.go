package telemetry

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
)

// NewLogger makes the process's logger. It writes JSON lines, or text for people where
// format is "console", or is "auto" and out is a terminal. level must be one that
// zerolog knows; anything else means info.
func NewLogger(out io.Writer, level, format string) zerolog.Logger {
	parsed, err := zerolog.ParseLevel(level)
	if err != nil || parsed == zerolog.NoLevel { // the level of "", which would hide every message
		parsed = zerolog.InfoLevel
	}
	if format == "console" || format == "auto" && terminal(out) {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(parsed).With().Timestamp().Logger()
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
