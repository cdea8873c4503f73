package admin

import (
	"context"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// maxChanges bounds the changes under way at once, over all models: each can hold a model's
// files, a child process and a session.
const maxChanges = 4

// turns lets one change of a model be made after the other, and a few of all models at once.
// The zero value is ready.
type turns struct {
	mu sync.Mutex
	// models holds who has a turn or waits for one.
	models map[string]*turn
	// slots are taken by the changes under way.
	slots chan struct{}
}

// turn is that of one model.
type turn struct {
	// taken holds one element while a change is under way.
	taken chan struct{}
	// users counts who has it or waits: the last one takes it off the map.
	users int
}

// take waits for the model's turn, up to the end of ctx. done gives it back.
func (t *turns) take(ctx context.Context, model string) (done func(), err error) {
	turn := t.join(model)
	if err := enter(ctx, turn.taken); err != nil {
		t.leave(model, turn)
		return nil, err
	}
	if err := enter(ctx, t.slots); err != nil {
		<-turn.taken
		t.leave(model, turn)
		return nil, err
	}
	return func() {
		<-t.slots
		<-turn.taken
		t.leave(model, turn)
	}, nil
}

func (t *turns) join(model string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.models == nil {
		t.models = map[string]*turn{}
		t.slots = make(chan struct{}, maxChanges)
	}
	if t.models[model] == nil {
		t.models[model] = &turn{taken: make(chan struct{}, 1)}
	}
	t.models[model].users++
	return t.models[model]
}

func (t *turns) leave(model string, turn *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if turn.users--; turn.users == 0 {
		delete(t.models, model)
	}
}

func enter(ctx context.Context, places chan struct{}) error {
	// A caller who left before the change began gets none, even if there is room.
	if err := ctx.Err(); err != nil {
		return notBegun(err)
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return notBegun(ctx.Err())
	}
}

func notBegun(cause error) error {
	if scoring.CodeOf(cause) == scoring.Expired {
		return scoring.Errorf(scoring.Expired, "the change was not begun: other changes were under way until the request's time budget was spent; try again").WithCause(cause)
	}
	return cause
}

// longestChange bounds a change that has begun: fetching from slow storage and loading too.
const longestChange = 15 * time.Minute

// begun gives the context of a change that has begun. It goes on when its caller leaves,
// because a change is to be made or refused for a reason; the caller's deadline still holds,
// and a stop of the server ends what is not written yet.
func (a *Admin) begun(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(longestChange)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(end) {
		end = deadline
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
	if a.Stopping == nil {
		return ctx, cancel
	}
	unhook := context.AfterFunc(a.Stopping, cancel)
	return ctx, func() { unhook(); cancel() }
}

// ended gives the error of a change that a stop of the server ended. Its caller did not leave,
// and should hear that nothing was written.
func (a *Admin) ended(err *error) {
	if a.Stopping != nil && a.Stopping.Err() != nil && scoring.CodeOf(*err) == scoring.Canceled {
		*err = scoring.Errorf(scoring.Unavailable, "the server is stopping, and the change was not made: try it again in a moment").WithRetryAfter(time.Second).WithCause(*err)
	}
}
