package capi

import (
	"context"
	"sync"
	"time"
)

// gate lets so many goroutines into the library at once as there can be connections. The others wait here, in the order
// in which they came, without an operating system's thread each.
type gate struct {
	mu      sync.Mutex
	inside  int
	waiting []*ticket
	closed  bool
	// emptied is called when the last one has left.
	emptied func()
	// capacity is how many there can be, which changes as a cluster grows and shrinks.
	capacity func() int
	// known is its last answer, and asked when that was.
	known int
	asked time.Time
	// looking says that somebody looks again soon, for those who wait.
	looking bool
	// limit is how long a goroutine waits at most, and timeout what a call has whose context has no deadline; 0 is no limit.
	limit, timeout time.Duration
}

// lookEvery is how old the number of connections that there can be may grow.
const lookEvery = 100 * time.Millisecond

type ticket struct {
	ready chan error
	// settled says that ready has been, or is being, answered.
	settled bool
}

// enter waits until there is room, and answers how long that took.
func (g *gate) enter(ctx context.Context) (waited time.Duration, err error) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return 0, closedPool()
	}
	if len(g.waiting) == 0 && g.inside < g.room() {
		g.inside++
		g.mu.Unlock()
		return 0, nil
	}
	t := &ticket{ready: make(chan error, 1)}
	g.waiting = append(g.waiting, t)
	g.lookAgain()
	g.mu.Unlock()
	begun := time.Now()
	err = g.wait(ctx, t)
	return time.Since(begun), err
}

// patience is how long a goroutine waits, and the option that says so; 0 is without limit.
func (g *gate) patience(ctx context.Context) (limit time.Duration, option string) {
	if _, limited := ctx.Deadline(); !limited && g.timeout > 0 && (g.limit <= 0 || g.timeout < g.limit) {
		return g.timeout, "timeout"
	}
	return g.limit, "acquire_timeout"
}

func (g *gate) wait(ctx context.Context, t *ticket) error {
	limit, option := g.patience(ctx)
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	var failure *Error
	select {
	case err := <-t.ready:
		return err
	case <-ctx.Done():
		failure = notSent(ctx.Err())
		failure.Message = "no connection became free: " + failure.Message
		failure.text = failure.Message
	case <-expired:
		failure = Errorf(KindPoolTimeout, "no connection became free within %v (the option %s)", limit, option)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.settled {
		// It was let in at the same moment, and does not come.
		if err := <-t.ready; err == nil {
			g.inside--
			g.admit()
		}
		return failure
	}
	for i, other := range g.waiting {
		if other == t {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			break
		}
	}
	return failure
}

// leave makes room for one.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
	if g.inside == 0 && g.emptied != nil {
		// Whoever leaves may hold what this waits for.
		go g.emptied()
		g.emptied = nil
	}
}

// admit lets in whoever is next, as far as there is room.
func (g *gate) admit() {
	if len(g.waiting) == 0 {
		return
	}
	for room := g.room(); len(g.waiting) > 0 && g.inside < room; g.inside++ {
		next := g.waiting[0]
		g.waiting = g.waiting[1:]
		next.settled = true
		next.ready <- nil
	}
}

// room is how many may be inside. The library is asked again after a while, not for each call.
func (g *gate) room() int {
	if now := time.Now(); now.Sub(g.asked) >= lookEvery {
		g.known, g.asked = g.capacity(), now
	}
	return g.known
}

// lookAgain lets in those who wait when there is more room, though nobody leaves: another instance was found.
func (g *gate) lookAgain() {
	if g.looking {
		return
	}
	g.looking = true
	time.AfterFunc(lookEvery, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.looking = false
		g.admit()
		if len(g.waiting) > 0 {
			g.lookAgain()
		}
	})
}

// close sends away everybody who waits, and who comes later. emptied, if it is not nil, is called when the last of those
// who are inside has left; close answers false where nobody is.
func (g *gate) close(emptied func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.inside > 0 {
		g.emptied = emptied
	}
	for _, t := range g.waiting {
		t.settled = true
		t.ready <- closedPool()
	}
	g.waiting = nil
	return g.inside > 0
}

func closedPool() *Error {
	return Errorf(KindClosed, "the pool was closed")
}
