package telemetry

import (
	"errors"
	"testing"
)

// full is a file on a disk without room.
type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	if n, err := newRedactor(full{}, nil).Write([]byte("a line")); n != 0 || !errors.Is(err, errFull) {
		t.Errorf("wrote %d bytes, %v, want the file's failure to be the writer's", n, err)
	}
}
