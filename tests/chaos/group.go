package chaos

import (
	"context"
	"errors"
	"sync"
)

// group runs functions side by side. The first that fails ends the others.
type group struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu  sync.Mutex
	err error
}

func newGroup(cancel context.CancelFunc) *group { return &group{cancel: cancel} }

func (g *group) spawn(f func() error) {
	g.done.Go(func() {
		err := f()
		if err == nil || errors.Is(err, context.Canceled) {
			return
		}
		g.mu.Lock()
		g.err = errors.Join(g.err, err)
		g.mu.Unlock()
		g.cancel()
	})
}

// wait waits for all, and gives their errors.
func (g *group) wait() error {
	g.done.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
