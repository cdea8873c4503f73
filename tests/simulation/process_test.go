package simulation_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/follow"
)

// process is a replica from a start to its end.
type process struct {
	w       *world
	replica int
	// name is another one for each process.
	name     string
	instance string
	link     *link
	book     *catalog.Book
	runtime  *runtime
	follower *follow.Follower
	started  time.Duration
	// known are the models that were in the index when it started.
	known []string

	// stop asks it to end; ended is closed when it did, and gone when nothing that it does
	// matters any more.
	stop  context.CancelFunc
	ended chan struct{}
	gone  chan struct{}
	work  sync.WaitGroup
}

// interval is the time between two looks at the documents.
const interval = time.Second

// launch starts a replica's process.
func (w *world) launch(replica, life int, renamed bool) *process {
	p := &process{
		w: w, replica: replica, name: fmt.Sprintf("%s.%d", replicaName(replica), life), started: w.now(),
		ended: make(chan struct{}), gone: make(chan struct{}),
	}
	p.known = slices.Sorted(maps.Keys(w.ledger.announced().Models))
	p.instance = replicaName(replica)
	if renamed {
		p.instance = p.name
	}
	p.link = w.link(p.name, replicaName(replica), p.gone)
	log := zerolog.New(logWriter{w, p.name})
	p.book = &catalog.Book{Store: p.link, Chance: w.draws(p.name), Log: log}
	p.runtime = newRuntime(w, p)
	config := follow.Config{Book: p.book, Runtime: p.runtime, Replica: replicaName(replica), Instance: p.instance, Every: interval, Log: log}
	if w.plan.snapshots {
		config.Snapshot = filepath.Join(w.dir(), replicaName(replica)+".json")
	}
	p.follower = follow.New(config)
	w.note(p.name, "start", p.instance, 0, "")
	ctx, stop := context.WithCancel(w.ctx)
	p.stop = stop
	p.runtime.start()
	if err := p.follower.ReadSnapshot(); err != nil {
		w.fail("%s: %s", p.name, err)
	}
	p.work.Go(func() {
		defer close(p.ended)
		p.follower.Run(ctx)
	})
	p.work.Go(p.traffic)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[replica] = p
	return p
}

// end ends the process: at once, or as it is done in an orderly way.
func (p *process) end(orderly bool) {
	p.w.mu.Lock()
	p.w.running[p.replica] = nil
	p.w.mu.Unlock()
	if orderly {
		p.w.note(p.name, "stop", "", 0, "")
		p.stop()
		<-p.ended
	}
	p.w.note(p.name, "gone", "", 0, "")
	p.runtime.mu.Lock() // nobody begins a load after this
	close(p.gone)
	p.runtime.mu.Unlock()
	p.stop()
	p.work.Wait()
}

func (p *process) isGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// awaitLoad waits for a load that failed before and is tried once more, but not for long.
func (p *process) awaitLoad() {
	c := p.w.chance("await", p.name)
	for range 400 {
		if !p.w.sleep(c.between(20*time.Millisecond, 80*time.Millisecond)) || p.runtime.trying() {
			return
		}
	}
}

// logWriter puts log lines into the trace.
type logWriter struct {
	w     *world
	actor string
}

func (l logWriter) Write(line []byte) (int, error) {
	l.w.note(l.actor, logged, "", 0, string(line[:len(line)-1]))
	return len(line), nil
}

// keep runs a replica: its processes come and go as planned.
func (w *world) keep(replica int, begin time.Duration) {
	if !w.sleep(begin) {
		return
	}
	p, lives := w.launch(replica, 0, false), 1
	for _, e := range w.plan.ends {
		if e.replica != replica || !w.sleep(e.at-w.now()) {
			continue
		}
		if e.busy {
			p.awaitLoad()
		}
		p.end(e.orderly)
		w.foldAll() // what it left half done can be read
		if e.forever && w.spare(replica) {
			return
		}
		if !w.sleep(e.down) {
			return
		}
		p = w.launch(replica, lives, e.renamed)
		lives++
	}
}

// spare says whether the world can do without a replica for good: one must stay.
func (w *world) spare(replica int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost+1 >= w.plan.replicas {
		return false
	}
	w.lost++
	return true
}
