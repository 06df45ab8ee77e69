package capi

// #include "shim.h"
import "C"

import "time"

// Stat is a figure of a pool.
type Stat int32

// The figures of a pool; see quorate_stat in quorate.h.
const (
	StatMaxConns        Stat = C.QUORATE_STAT_MAX_CONNS
	StatConnections     Stat = C.QUORATE_STAT_CONNECTIONS
	StatIdle            Stat = C.QUORATE_STAT_IDLE
	StatInUse           Stat = C.QUORATE_STAT_IN_USE
	StatWaiting         Stat = C.QUORATE_STAT_WAITING
	StatAcquires        Stat = C.QUORATE_STAT_ACQUIRES
	StatWaits           Stat = C.QUORATE_STAT_WAITS
	StatWaitNanoseconds Stat = C.QUORATE_STAT_WAIT_NANOSECONDS
	StatConnects        Stat = C.QUORATE_STAT_CONNECTS
	StatConnectFailures Stat = C.QUORATE_STAT_CONNECT_FAILURES
	StatFailures        Stat = C.QUORATE_STAT_FAILURES
	StatLeaderChanges   Stat = C.QUORATE_STAT_LEADER_CHANGES
	StatRefreshes       Stat = C.QUORATE_STAT_REFRESHES
	StatRefreshFailures Stat = C.QUORATE_STAT_REFRESH_FAILURES
	StatInstances       Stat = C.QUORATE_STAT_INSTANCES
	StatUsableInstances Stat = C.QUORATE_STAT_USABLE_INSTANCES
)

// Stat is a figure of the pool; 0 once it was closed.
func (p *poolHandle) Stat(stat Stat) uint64 {
	var figure C.uint64_t
	_ = p.use(func(handle *C.quorate_pool) error {
		C.quorate_pool_stat(handle, C.int32_t(stat), &figure, nil)
		return nil
	})
	return uint64(figure)
}

// EndpointStats is how a pool does with one node or instance, at the moment of the reading.
type EndpointStats struct {
	// Address is host:port.
	Address string
	// Connections are open ones, in use and idle.
	Connections uint32
	Idle        uint32
	InUse       uint32
	// Waiting is how many callers wait for a connection inside of the library.
	Waiting uint32
	// Latency is how long it takes to answer, a moving average; negative where it is not measured, which takes a choice of
	// instances that looks at it.
	Latency time.Duration
	// LeftOut says that calls are kept from it for now, because several have failed there.
	LeftOut bool
}

// Endpoints are the figures of each node or instance that the pool has had connections to, in the order of the addresses;
// none once it was closed.
func (p *Pool) Endpoints() []EndpointStats {
	var list []EndpointStats
	_ = p.use(func(handle *C.quorate_pool) error {
		var endpoints *C.quorate_endpoints
		if C.quorate_pool_endpoints(handle, &endpoints, nil) != C.QUORATE_STATUS_OK {
			return nil
		}
		defer C.quorate_endpoints_free(endpoints)
		count := C.quorate_endpoints_len(endpoints)
		list = make([]EndpointStats, count)
		for i := range list {
			one := C.quorate_endpoints_get(endpoints, C.size_t(i))
			list[i] = EndpointStats{
				Address:     bytesText(one.address),
				Connections: uint32(one.connections),
				Idle:        uint32(one.idle),
				InUse:       uint32(one.in_use),
				Waiting:     uint32(one.waiting),
				Latency:     latency(one.latency_us),
				LeftOut:     bool(one.left_out),
			}
		}
		return nil
	})
	return list
}

// latency is a figure of the library, in microseconds; negative where it was not measured.
func latency(microseconds C.int64_t) time.Duration {
	return time.Duration(microseconds) * time.Microsecond
}
