//go:build quorate_static

package capi

// #cgo pkg-config: --static quorate
import "C"
