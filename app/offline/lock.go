package offline

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// claim takes the part for this run alone, until it is closed or the process ends: two runs on
// one output would write into each other's lines.
func (s *sink) claim(restart bool) error {
	var err error = syscall.EINTR
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Flock(int(s.part.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s: another run writes it: wait for its end, or choose another output", s.partName())
	}
	if err != nil {
		return &os.PathError{Op: "lock", Path: s.partName(), Err: err}
	}
	// A run that ended in this moment has given the file the name of the output.
	ours, err := s.part.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(s.partName())
	_, noOutput := os.Stat(s.output)
	if err != nil || !os.SameFile(ours, named) || noOutput == nil && !restart {
		return fmt.Errorf("%s: another run has just ended: look at the output, or use --restart to replace it", s.partName())
	}
	return nil
}
