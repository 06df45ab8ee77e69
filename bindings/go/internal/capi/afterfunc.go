//go:build go1.21

package capi

import "context"

// AfterFunc runs f when ctx has ended, unless it is stopped before: then stop answers true.
func AfterFunc(ctx context.Context, f func()) (stop func() bool) {
	return context.AfterFunc(ctx, f)
}
