// Package strategies has the ways to spread calls over the instances of a Picodata cluster, and the interfaces for one's
// own; see picodata.WithBalanceStrategy.
//
// All choose among the instances that are online, without those that failed a moment ago where there are others. If no
// connection to the chosen one can be had, the call goes on to another.
package strategies

import (
	"math/rand"
	"sync/atomic"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// BalanceStrategy says which instance is next, by its number. Several goroutines call it at once; it should answer in
// microseconds, and must not use the pool.
type BalanceStrategy interface {
	// Next answers a number below poolSize, which is at least 2. current belongs to the strategy: it begins at 0 and is
	// changed with package sync/atomic.
	Next(current *uint64, poolSize uint64) uint64
	// Type names the strategy.
	Type() string
}

// Chooser is a strategy that wants to know its candidates: a pool calls Choose in place of Next.
type Chooser interface {
	BalanceStrategy
	// Choose answers the index of one of the candidates, of which there are at least two, in the order of their uuids.
	// They are valid during the call.
	Choose(candidates []Candidate) int
}

// Candidate is an instance that a call may go to, and how it does at the moment.
type Candidate = capi.Candidate

// RoundRobin takes each instance in turn.
type RoundRobin struct{}

// NewRoundRobinStrategy takes each instance in turn. It is what a pool does without a strategy.
func NewRoundRobinStrategy() RoundRobin { return RoundRobin{} }

// Next answers each number in turn.
func (RoundRobin) Next(current *uint64, poolSize uint64) uint64 { return inTurn(current, poolSize) }

// Type is "RoundRobin".
func (RoundRobin) Type() string { return "RoundRobin" }

// Random takes an instance at random.
type Random struct{}

// NewRandomStrategy takes an instance at random.
func NewRandomStrategy() Random { return Random{} }

// Next answers a number at random.
func (Random) Next(_ *uint64, poolSize uint64) uint64 {
	return uint64(rand.Int63n(int64(poolSize)))
}

// Type is "Random".
func (Random) Type() string { return "Random" }

// LeastBusy takes the instance with the fewest connections of this pool in use, at random among equals.
type LeastBusy struct{}

// NewLeastBusyStrategy takes the instance with the fewest connections of this pool in use, at random among equals.
func NewLeastBusyStrategy() LeastBusy { return LeastBusy{} }

// Next answers each number in turn: what the strategy goes by is known to the pool alone.
func (LeastBusy) Next(current *uint64, poolSize uint64) uint64 { return inTurn(current, poolSize) }

// Type is "LeastBusy".
func (LeastBusy) Type() string { return "LeastBusy" }

// LowestLatency takes the instance that answers soonest.
type LowestLatency struct{}

// NewLowestLatencyStrategy takes the instance that answers soonest.
func NewLowestLatencyStrategy() LowestLatency { return LowestLatency{} }

// Next answers each number in turn: what the strategy goes by is known to the pool alone.
func (LowestLatency) Next(current *uint64, poolSize uint64) uint64 { return inTurn(current, poolSize) }

// Type is "LowestLatency".
func (LowestLatency) Type() string { return "LowestLatency" }

func inTurn(current *uint64, poolSize uint64) uint64 {
	return (atomic.AddUint64(current, 1) - 1) % poolSize
}
