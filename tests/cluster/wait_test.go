package cluster_test

import (
	"strings"
	"testing"
)

// TestWaitSeesWhoEnded: nobody waits for a program that is gone; the error has what it said last.
func TestWaitSeesWhoEnded(t *testing.T) {
	t.Parallel()
	c := &cluster{dir: t.TempDir()}
	t.Cleanup(c.stop)
	if err := c.dead(); err != nil {
		t.Errorf("without programs: %v", err)
	}
	if err := c.run("kubectl", nil, "no-such-command"); err != nil {
		t.Fatal(err)
	}
	<-c.processes[0].ended
	if err := c.dead(); err == nil || !strings.Contains(err.Error(), "kubectl ended by itself (exit status 1)") || !strings.Contains(err.Error(), "no-such-command") {
		t.Errorf("got %v, want what ended and what it said", err)
	}
	if c.said() == 0 {
		t.Error("what the program said is not counted")
	}
}
