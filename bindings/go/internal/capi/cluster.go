package capi

// #include "shim.h"
import "C"

import (
	"context"
	"runtime"
	"sync"
	"unsafe"
)

// Cluster administers a dqlite cluster: each call finds the leader, and uses a connection of its own. Any goroutine may
// use it.
type Cluster struct {
	handle *C.quorate_cluster

	mu sync.Mutex
	// calls is how many use the handle.
	calls  int
	closed bool
}

// NewCluster makes a client from a configuration. Nothing is dialled.
func NewCluster(config *Config) (*Cluster, error) {
	c := &Cluster{}
	err := call(nil, config, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_new(config.handle, &c.handle, native)
	})
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(c, (*Cluster).free)
	return c, nil
}

func (c *Cluster) free() { C.quorate_cluster_free(c.handle) }

// Close refuses further calls. Those under way go on, and the client is freed behind the last of them.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	runtime.SetFinalizer(c, nil)
	if c.calls == 0 {
		c.free()
	}
}

func (c *Cluster) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return Errorf(KindClosed, "the client was closed")
	}
	c.calls++
	return nil
}

func (c *Cluster) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
	if c.closed && c.calls == 0 {
		c.free()
	}
}

func (c *Cluster) call(ctx context.Context, f func(b *bounds, native **C.quorate_error) C.quorate_status) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	b, err := bound(ctx)
	if err != nil {
		return err
	}
	defer b.release()
	return call(ctx, nil, func(native **C.quorate_error) C.quorate_status {
		return f(&b, native)
	})
}

// Leader is the address of the leader.
func (c *Cluster) Leader(ctx context.Context) (string, error) {
	var buffer *C.quorate_buffer
	err := c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_leader(c.handle, b.timeout, b.handle(), &buffer, native)
	})
	if err != nil {
		return "", err
	}
	return takeBuffer(buffer), nil
}

// Nodes are the nodes of the cluster, as the leader lists them.
func (c *Cluster) Nodes(ctx context.Context) ([]Node, error) {
	var list *C.quorate_nodes
	err := c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_nodes(c.handle, b.timeout, b.handle(), &list, native)
	})
	if err != nil {
		return nil, err
	}
	defer C.quorate_nodes_free(list)
	return readNodes(list), nil
}

// Add adds a node, as a spare.
func (c *Cluster) Add(ctx context.Context, id uint64, address string) error {
	defer runtime.KeepAlive(address)
	return c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_add(c.handle, C.uint64_t(id), stringData(address), C.size_t(len(address)), b.timeout,
			b.handle(), native)
	})
}

// Assign gives a node a role.
func (c *Cluster) Assign(ctx context.Context, id uint64, role Role) error {
	return c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_assign(c.handle, C.uint64_t(id), C.int32_t(role), b.timeout, b.handle(), native)
	})
}

// Remove removes a node.
func (c *Cluster) Remove(ctx context.Context, id uint64) error {
	return c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_remove(c.handle, C.uint64_t(id), b.timeout, b.handle(), native)
	})
}

// Transfer passes the leadership to the voter id, or to any if it is 0.
func (c *Cluster) Transfer(ctx context.Context, id uint64) error {
	return c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_transfer(c.handle, C.uint64_t(id), b.timeout, b.handle(), native)
	})
}

// Metadata is what a node says of itself.
type Metadata struct {
	FailureDomain uint64
	Weight        uint64
}

// Describe asks the node at address for what it says of itself.
func (c *Cluster) Describe(ctx context.Context, address string) (Metadata, error) {
	var domain, weight C.uint64_t
	defer runtime.KeepAlive(address)
	err := c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_describe(c.handle, stringData(address), C.size_t(len(address)), b.timeout, b.handle(),
			&domain, &weight, native)
	})
	return Metadata{FailureDomain: uint64(domain), Weight: uint64(weight)}, err
}

// SetWeight sets the weight of the node at address.
func (c *Cluster) SetWeight(ctx context.Context, address string, weight uint64) error {
	defer runtime.KeepAlive(address)
	return c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_set_weight(c.handle, stringData(address), C.size_t(len(address)), C.uint64_t(weight),
			b.timeout, b.handle(), native)
	})
}

// File is a file of a database.
type File struct {
	Name string
	Data []byte
}

// Dump copies the files of the database called name, as the leader has them.
func (c *Cluster) Dump(ctx context.Context, name string) ([]File, error) {
	var dump *C.quorate_dump
	defer runtime.KeepAlive(name)
	err := c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_dump(c.handle, stringData(name), C.size_t(len(name)), b.timeout, b.handle(), &dump,
			native)
	})
	if err != nil {
		return nil, err
	}
	return takeFiles(dump)
}

// DumpFrom copies the files of the database called name, as the node at address has them.
func (c *Cluster) DumpFrom(ctx context.Context, address, name string) ([]File, error) {
	var dump *C.quorate_dump
	defer runtime.KeepAlive(name)
	defer runtime.KeepAlive(address)
	err := c.call(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_cluster_dump_from(c.handle, stringData(address), C.size_t(len(address)), stringData(name),
			C.size_t(len(name)), b.timeout, b.handle(), &dump, native)
	})
	if err != nil {
		return nil, err
	}
	return takeFiles(dump)
}

// takeFiles copies the files of a dump, and frees it.
func takeFiles(dump *C.quorate_dump) ([]File, error) {
	defer C.quorate_dump_free(dump)
	var files []File
	for index := C.size_t(0); index < C.quorate_dump_len(dump); index++ {
		var name, data *C.char
		var nameLength, dataLength C.size_t
		err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
			return C.quorate_dump_get(dump, index, &name, &nameLength, &data, &dataLength, native)
		})
		if err != nil {
			return nil, err
		}
		bytes := append([]byte{}, goBytes(unsafe.Pointer(data), dataLength)...)
		files = append(files, File{Name: goString(name, nameLength), Data: bytes})
	}
	return files, nil
}
