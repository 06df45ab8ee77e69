//go:build quorate_static

package capi

// #cgo pkg-config: quorate-static
import "C"
