package capi

// #include "shim.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// NodeConfig describes a dqlite node of this process.
type NodeConfig struct {
	handle *C.quorate_node_config
}

// NewNodeConfig describes the node id, which others reach at address and which keeps its data in directory.
func NewNodeConfig(id uint64, address, directory string) (*NodeConfig, error) {
	var handle *C.quorate_node_config
	err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_node_config_new(C.uint64_t(id), stringData(address), C.size_t(len(address)),
			stringData(directory), C.size_t(len(directory)), &handle, native)
	})
	if err != nil {
		return nil, err
	}
	c := &NodeConfig{handle: handle}
	runtime.SetFinalizer(c, func(c *NodeConfig) { C.quorate_node_config_free(c.handle) })
	return c, nil
}

// Set sets an option by its name; see quorate_node_config_set in quorate.h.
func (c *NodeConfig) Set(option, value string) error {
	return call(nil, c, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_node_config_set(c.handle, stringData(option), C.size_t(len(option)), stringData(value),
			C.size_t(len(value)), native)
	})
}

// RunningNode is a dqlite node inside of this process. Any goroutine may use it.
type RunningNode struct {
	handle *C.quorate_node
}

// Start starts the node. It blocks until it accepts connections.
func (c *NodeConfig) Start() (*RunningNode, error) {
	var handle *C.quorate_node
	err := call(nil, c, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_node_start(c.handle, &handle, native)
	})
	if err != nil {
		return nil, err
	}
	n := &RunningNode{handle: handle}
	runtime.SetFinalizer(n, func(n *RunningNode) { C.quorate_node_free(n.handle) })
	return n, nil
}

// Address is where clients and other nodes reach the node.
func (n *RunningNode) Address() string {
	var length C.size_t
	text := C.quorate_node_address(n.handle, &length)
	address := string(goBytes(unsafe.Pointer(text), length))
	runtime.KeepAlive(n)
	return address
}

// Handover gives the node's duties to others before a stop.
func (n *RunningNode) Handover() error {
	return call(nil, n, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_node_handover(n.handle, native)
	})
}

// Stop stops the node; its data is on disk when this returns. Stopping a second time does nothing.
func (n *RunningNode) Stop() error {
	return call(nil, n, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_node_stop(n.handle, native)
	})
}

// GenerateNodeID makes a node id from an address and the clock.
func GenerateNodeID(address string) (uint64, error) {
	var id C.uint64_t
	err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_node_generate_id(stringData(address), C.size_t(len(address)), &id, native)
	})
	return uint64(id), err
}
