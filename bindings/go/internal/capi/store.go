package capi

// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"runtime/cgo"
)

// Role is what a node does in its cluster.
type Role int32

// The roles of nodes.
const (
	Voter   Role = C.QUORATE_NODE_ROLE_VOTER
	StandBy Role = C.QUORATE_NODE_ROLE_STAND_BY
	Spare   Role = C.QUORATE_NODE_ROLE_SPARE
)

// String is the role as a word.
func (r Role) String() string {
	switch r {
	case Voter:
		return "voter"
	case StandBy:
		return "stand-by"
	case Spare:
		return "spare"
	}
	return fmt.Sprintf("role %d", int32(r))
}

// Node is a node of a dqlite cluster.
type Node struct {
	ID      uint64
	Address string
	Role    Role
}

// NodeStore keeps the nodes of a cluster. Several goroutines may call it at once; it must not use the pool.
type NodeStore interface {
	Get(ctx context.Context) ([]Node, error)
	Set(ctx context.Context, nodes []Node) error
}

// Store is a store of the library. Any goroutine may use it.
type Store struct {
	handle *C.quorate_store
}

func newStore(handle *C.quorate_store) *Store {
	s := &Store{handle: handle}
	runtime.SetFinalizer(s, func(s *Store) { C.quorate_store_free(s.handle) })
	return s
}

// MemoryStore keeps nodes in memory.
func MemoryStore(nodes []Node) (*Store, error) {
	list, err := newNodes(nodes)
	if err != nil {
		return nil, err
	}
	defer C.quorate_nodes_free(list)
	var handle *C.quorate_store
	err = call(nil, nil, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_store_new(list, &handle, native)
	})
	if err != nil {
		return nil, err
	}
	return newStore(handle), nil
}

// OpenStore opens the store in the file at path: YAML if its name ends in .yaml or .yml, else an SQLite database.
func OpenStore(path string) (*Store, error) {
	var handle *C.quorate_store
	err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_store_open(stringData(path), C.size_t(len(path)), &handle, native)
	})
	if err != nil {
		return nil, err
	}
	return newStore(handle), nil
}

// CustomStore makes a store of one that is written in Go.
func CustomStore(store NodeStore) (*Store, error) {
	var handle *C.quorate_store
	err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
		return C.qg_store_new(C.uintptr_t(cgo.NewHandle(store)), &handle, native)
	})
	if err != nil {
		return nil, err
	}
	return newStore(handle), nil
}

// Get reads the nodes.
func (s *Store) Get() ([]Node, error) {
	var list *C.quorate_nodes
	err := call(nil, s, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_store_get(s.handle, &list, native)
	})
	if err != nil {
		return nil, err
	}
	defer C.quorate_nodes_free(list)
	return readNodes(list), nil
}

// Set replaces the nodes.
func (s *Store) Set(nodes []Node) error {
	list, err := newNodes(nodes)
	if err != nil {
		return err
	}
	defer C.quorate_nodes_free(list)
	return call(nil, s, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_store_set(s.handle, list, native)
	})
}

func newNodes(nodes []Node) (*C.quorate_nodes, error) {
	var list *C.quorate_nodes
	err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_nodes_new(&list, native)
	})
	if err != nil {
		return nil, err
	}
	for _, node := range nodes {
		err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
			return C.quorate_nodes_add(list, C.uint64_t(node.ID), stringData(node.Address), C.size_t(len(node.Address)),
				C.int32_t(node.Role), native)
		})
		if err != nil {
			C.quorate_nodes_free(list)
			return nil, err
		}
	}
	return list, nil
}

func readNodes(list *C.quorate_nodes) []Node {
	nodes := make([]Node, 0, int(C.quorate_nodes_len(list)))
	for index := C.size_t(0); index < C.quorate_nodes_len(list); index++ {
		var id C.uint64_t
		var address *C.char
		var length C.size_t
		var role C.quorate_node_role
		if C.quorate_nodes_get(list, index, &id, &address, &length, &role, nil) == C.QUORATE_STATUS_OK {
			nodes = append(nodes, Node{ID: uint64(id), Address: goString(address, length), Role: Role(role)})
		}
	}
	return nodes
}
