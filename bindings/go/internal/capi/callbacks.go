package capi

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime/cgo"
	"syscall"
	"time"
)

// DialFunc makes a connection to the node at address.
type DialFunc func(ctx context.Context, address string) (net.Conn, error)

// Event is a change that a pool has noticed. Its numbers are those of quorate_event in quorate.h.
type Event struct {
	Kind   int32
	Text   string
	Number uint64
}

// The kinds of events.
const (
	EventLeader int32 = C.QUORATE_EVENT_LEADER
	EventNodes  int32 = C.QUORATE_EVENT_NODES
)

//export quorateGoForget
func quorateGoForget(handle C.uintptr_t) {
	cgo.Handle(handle).Delete()
}

//export quorateGoLog
func quorateGoLog(handle C.uintptr_t, level C.int32_t, message *C.char, length C.size_t) {
	f := cgo.Handle(handle).Value().(func(level int, message string))
	f(int(level), textAt(message, length))
}

//export quorateGoEvent
func quorateGoEvent(handle C.uintptr_t, event C.int32_t, text *C.char, length C.size_t, number C.uint64_t) {
	f := cgo.Handle(handle).Value().(func(Event))
	f(Event{Kind: int32(event), Text: textAt(text, length), Number: uint64(number)})
}

//export quorateGoDial
func quorateGoDial(handle C.uintptr_t, address *C.char, length C.size_t, timeout C.int64_t) C.int32_t {
	dial := cgo.Handle(handle).Value().(DialFunc)
	ctx, cancel := context.Background(), func() {}
	if timeout != C.QUORATE_TIMEOUT_NONE {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Millisecond)
	}
	defer cancel()
	conn, err := dial(ctx, textAt(address, length))
	if err != nil {
		return -C.int32_t(errno(err))
	}
	fd, err := descriptor(conn)
	if err != nil {
		return -C.int32_t(errno(err))
	}
	return C.int32_t(fd)
}

// errno is the system's number for a failure of a dial function.
func errno(err error) syscall.Errno {
	var number syscall.Errno
	if errors.As(err, &number) && number != 0 {
		return number
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
	nodes, err := store.Get(context.Background())
	if err != nil {
		return storeFailure
	}
	for _, node := range nodes {
		status := C.quorate_nodes_add(list, C.uint64_t(node.ID), stringData(node.Address),
			C.size_t(len(node.Address)), C.int32_t(node.Role), nil)
		if status != C.QUORATE_STATUS_OK {
			return storeFailure
		}
	}
	return 0
}

//export quorateGoStoreSet
func quorateGoStoreSet(handle C.uintptr_t, list *C.quorate_nodes) C.int32_t {
	store := cgo.Handle(handle).Value().(NodeStore)
	if err := store.Set(context.Background(), readNodes(list)); err != nil {
		return storeFailure
	}
	return 0
}

// storeFailure is what a store that failed answers; the store itself is to tell more.
const storeFailure = 1
