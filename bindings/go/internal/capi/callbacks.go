package capi

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"runtime/cgo"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"
)

// DialFunc makes a connection to the node at address.
type DialFunc func(ctx context.Context, address string) (net.Conn, error)

// Event is a change that a pool has noticed; what its kind does not speak of is empty. See quorate_event in quorate.h.
type Event struct {
	Kind       EventKind
	Count      uint64
	Address    string
	Name       string
	UUID       string
	Replicaset string
	Tier       string
	State      string
	Before     string
	IsMaster   bool
	IsLeader   bool
}

// EventKind says what has changed.
type EventKind int32

// The kinds of events; see quorate_event_kind in quorate.h.
const (
	EventLeader        EventKind = C.QUORATE_EVENT_KIND_LEADER
	EventNodes         EventKind = C.QUORATE_EVENT_KIND_NODES
	EventInstanceCame  EventKind = C.QUORATE_EVENT_KIND_INSTANCE_CAME
	EventInstanceWent  EventKind = C.QUORATE_EVENT_KIND_INSTANCE_WENT
	EventInstanceMoved EventKind = C.QUORATE_EVENT_KIND_INSTANCE_MOVED
	EventInstanceState EventKind = C.QUORATE_EVENT_KIND_INSTANCE_STATE
	EventInstanceRole  EventKind = C.QUORATE_EVENT_KIND_INSTANCE_ROLE
)

// Candidate is an instance that a call may go to, and how it does at the moment.
type Candidate struct {
	// Address is host:port.
	Address string
	// Name is the instance's name, such as default_1_1.
	Name string
	// UUID is what the instance is known by, whatever its name and address become.
	UUID string
	// Replicaset is the uuid of its replicaset.
	Replicaset string
	Tier       string
	// Latency is a moving average of how long it takes to answer; negative if it was never asked.
	Latency time.Duration
	// InUse is how many connections of this pool to it are in use, and MaxConns how many there may be.
	InUse, MaxConns uint32
	// IsMaster says whether it is the master of its replicaset.
	IsMaster bool
	// IsLeader says whether it is the raft leader of the cluster.
	IsLeader bool
}

// guard calls a function of the program's, and says whether it has returned. A panic is logged and goes no further: above
// lies the library, which would keep its locks, or nobody, where the thread is one of the library's.
func guard(what string, f func()) (returned bool) {
	defer func() {
		if cause := recover(); cause != nil {
			log.Printf("quorate: %s panicked: %v\n%s", what, cause, debug.Stack())
		}
	}()
	f()
	return true
}

//export quorateGoForget
func quorateGoForget(handle C.uintptr_t) {
	cgo.Handle(handle).Delete()
}

//export quorateGoLog
func quorateGoLog(handle C.uintptr_t, level C.int32_t, message *C.char, length C.size_t) {
	f := cgo.Handle(handle).Value().(func(level int, message string))
	guard("the log function", func() { f(int(level), goString(message, length)) })
}

//export quorateGoEvent
func quorateGoEvent(handle C.uintptr_t, event *C.quorate_event) {
	f := cgo.Handle(handle).Value().(func(Event))
	guard("the event function", func() {
		f(Event{
			Kind:       EventKind(event.kind),
			Count:      uint64(event.count),
			Address:    bytesText(event.address),
			Name:       bytesText(event.name),
			UUID:       bytesText(event.uuid),
			Replicaset: bytesText(event.replicaset),
			Tier:       bytesText(event.tier),
			State:      bytesText(event.state),
			Before:     bytesText(event.before),
			IsMaster:   bool(event.is_master),
			IsLeader:   bool(event.is_leader),
		})
	})
}

//export quorateGoBalance
func quorateGoBalance(handle C.uintptr_t, candidates *C.quorate_candidate, length C.size_t) C.size_t {
	choose := cgo.Handle(handle).Value().(func([]Candidate) int)
	native := unsafe.Slice(candidates, int(length))
	list := make([]Candidate, len(native))
	for i := range native {
		list[i] = Candidate{
			Address:    bytesText(native[i].address),
			Name:       bytesText(native[i].name),
			UUID:       bytesText(native[i].uuid),
			Replicaset: bytesText(native[i].replicaset),
			Tier:       bytesText(native[i].tier),
			Latency:    latency(native[i].latency_us),
			InUse:      uint32(native[i].in_use),
			MaxConns:   uint32(native[i].max_conns),
			IsMaster:   bool(native[i].is_master),
			IsLeader:   bool(native[i].is_leader),
		}
	}
	// An index that no candidate has leaves the choice to the library.
	chosen := len(list)
	guard("the balance strategy", func() { chosen = choose(list) })
	return C.size_t(chosen)
}

func bytesText(bytes C.quorate_bytes) string {
	return goString(bytes.pointer, bytes.length)
}

//export quorateGoDial
func quorateGoDial(handle C.uintptr_t, address *C.char, length C.size_t, timeout C.int64_t, current *C.quorate_cancel) C.int32_t {
	dial := cgo.Handle(handle).Value().(DialFunc)
	ctx, cancel := contextOf(current), func() {}
	if timeout != C.QUORATE_TIMEOUT_NONE {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Millisecond)
	}
	defer cancel()
	answered := make(chan dialled, 1)
	go func(address string) {
		// What is answered where the function panics, or ends its goroutine.
		answer := dialled{err: syscall.EIO}
		defer func() { answered <- answer }()
		guard("the dial function", func() { answer = dialTo(ctx, dial, address) })
	}(goString(address, length))
	select {
	case answer := <-answered:
		if answer.err != nil {
			return -C.int32_t(errno(answer.err))
		}
		return C.int32_t(answer.fd)
	case <-ctx.Done():
		go func() {
			if late := <-answered; late.err == nil {
				_ = syscall.Close(late.fd)
			}
		}()
		return -C.int32_t(errno(ctx.Err()))
	}
}

// dialled is what a dial function has answered.
type dialled struct {
	fd  int
	err error
}

func dialTo(ctx context.Context, dial DialFunc, address string) dialled {
	conn, err := dial(ctx, address)
	if err == nil && conn == nil {
		err = syscall.EIO
	}
	if err != nil {
		return dialled{err: err}
	}
	fd, err := descriptor(conn)
	return dialled{fd, err}
}

// errno is the system's number for a failure of a dial function.
func errno(err error) syscall.Errno {
	var number syscall.Errno
	if errors.As(err, &number) && number != 0 {
		return number
	}
	if errors.Is(err, context.Canceled) {
		return syscall.ECANCELED
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return syscall.ETIMEDOUT
	}
	return syscall.ECONNREFUSED
}

// descriptor takes the socket out of conn for the library to own. A connection that has none, such as one of TLS, is
// joined to one by two goroutines.
func descriptor(conn net.Conn) (int, error) {
	if withFile, ok := conn.(syscall.Conn); ok {
		raw, err := withFile.SyscallConn()
		if err != nil {
			return -1, err
		}
		fd := -1
		var failure error
		err = raw.Control(func(original uintptr) {
			fd, failure = dupCloseOnExec(int(original))
		})
		if err == nil {
			err = failure
		}
		_ = conn.Close()
		return fd, err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		_ = conn.Close()
		return -1, err
	}
	ours, err := connOf(pair[1])
	if err != nil {
		_ = syscall.Close(pair[0])
		_ = conn.Close()
		return -1, err
	}
	join := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	go join(conn, ours)
	go join(ours, conn)
	return pair[0], nil
}

//export quorateGoStoreGet
func quorateGoStoreGet(handle C.uintptr_t, list *C.quorate_nodes) C.int32_t {
	store := cgo.Handle(handle).Value().(NodeStore)
	var nodes []Node
	var err error
	if !guard("the store of nodes", func() { nodes, err = store.Get(context.Background()) }) {
		return storeFailed
	}
	if err != nil {
		return tellStoreFailure(err)
	}
	for _, node := range nodes {
		status := C.quorate_nodes_add(list, C.uint64_t(node.ID), stringData(node.Address),
			C.size_t(len(node.Address)), C.int32_t(node.Role), nil)
		if status != C.QUORATE_STATUS_OK {
			return tellStoreFailure(Errorf(Kind(status), "the node %d at %q is refused", node.ID, node.Address))
		}
	}
	return 0
}

//export quorateGoStoreSet
func quorateGoStoreSet(handle C.uintptr_t, list *C.quorate_nodes) C.int32_t {
	store := cgo.Handle(handle).Value().(NodeStore)
	var err error
	if !guard("the store of nodes", func() { err = store.Set(context.Background(), readNodes(list)) }) {
		return storeFailed
	}
	if err != nil {
		return tellStoreFailure(err)
	}
	return 0
}

// storeFailed is what a store answers that has failed.
const storeFailed = 1

// tellStoreFailure is what a store that failed answers: a number has room for no more, so the error is logged.
func tellStoreFailure(err error) C.int32_t {
	log.Printf("quorate: the store of nodes: %v", err)
	return storeFailed
}
