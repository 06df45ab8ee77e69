//go:build !go1.21

package capi

import (
	"context"
	"sync/atomic"
)

// AfterFunc runs f when ctx has ended, unless it is stopped before: then stop answers true. Go has such a function from
// 1.21 on; before, a goroutine waits.
func AfterFunc(ctx context.Context, f func()) (stop func() bool) {
	var taken int32
	stopped := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			if atomic.CompareAndSwapInt32(&taken, 0, 1) {
				f()
			}
		case <-stopped:
		}
	}()
	return func() bool {
		if !atomic.CompareAndSwapInt32(&taken, 0, 1) {
			return false
		}
		close(stopped)
		return true
	}
}
