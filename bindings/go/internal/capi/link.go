//go:build !quorate_static

// Package capi is the library's C interface as Go values. It is the only package of the binding that imports "C".
//
// Nothing of a driver is written here but what a Go program needs besides: contexts, which become timeouts and cancel
// handles; waiting for a free connection without an operating system's thread; and memory that both sides may see.
package capi

// #cgo pkg-config: quorate
import "C"
