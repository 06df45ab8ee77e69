//go:build go1.21

package capi

import "context"

// afterFunc runs f when ctx has ended, unless it is stopped before: then stop answers true.
func afterFunc(ctx context.Context, f func()) (stop func() bool) {
	return context.AfterFunc(ctx, f)
}
