package picodata

import (
	"time"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// Stat is what a pool does at the moment, and has done.
type Stat struct{ pool *capi.Pool }

// Stat tells figures of the pool, which go on counting.
func (p *Pool) Stat() *Stat { return &Stat{p.native} }

func (s *Stat) number(stat capi.Stat) int64 { return int64(s.pool.Stat(stat)) }

// MaxConns is the most connections there may be to one instance.
func (s *Stat) MaxConns() int32 { return int32(s.number(capi.StatMaxConns)) }

// TotalConns is how many connections are open.
func (s *Stat) TotalConns() int32 { return int32(s.number(capi.StatConnections)) }

// IdleConns is how many of them nobody uses.
func (s *Stat) IdleConns() int32 { return int32(s.number(capi.StatIdle)) }

// AcquiredConns is how many of them are in use.
func (s *Stat) AcquiredConns() int32 { return int32(s.number(capi.StatInUse)) }

// AcquireCount is how often a connection was taken out.
func (s *Stat) AcquireCount() int64 { return s.number(capi.StatAcquires) }

// NewConnsCount is how many connections have been opened.
func (s *Stat) NewConnsCount() int64 { return s.number(capi.StatConnects) }

// AcquireDuration is how long callers have waited inside of the library for a connection, all in all.
func (s *Stat) AcquireDuration() time.Duration {
	return time.Duration(s.number(capi.StatWaitNanoseconds))
}

// EndpointStats is how a pool does with one instance.
type EndpointStats = capi.EndpointStats

// EndpointStats are the figures, at the moment, of each instance that the pool has had connections to, in the order of the
// addresses; none once the pool was closed.
func (p *Pool) EndpointStats() []EndpointStats { return p.native.Endpoints() }
