package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/quorate/quorate/bindings/go/dqlite"
)

// DialFunc makes a connection to the node at address. Several goroutines call it at once.
type DialFunc = dqlite.DialFunc

// LogFunc is told what a client does. Several goroutines call it at once.
type LogFunc = dqlite.LogFunc

// LogLevel says how much a message matters.
type LogLevel = dqlite.LogLevel

// The levels of messages.
const (
	LogDebug = dqlite.LogDebug
	LogInfo  = dqlite.LogInfo
	LogWarn  = dqlite.LogWarn
	LogError = dqlite.LogError
)

// DefaultLogFunc drops every message.
func DefaultLogFunc(LogLevel, string, ...interface{}) {}

// DefaultDialFunc dials a TCP address, or a Unix socket if the address begins with @. Without WithDialFunc the library
// dials both by itself.
func DefaultDialFunc(ctx context.Context, address string) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(address, "@") {
		network = "unix"
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

// DialFuncWithTLS speaks TLS over what dial answers. The name that is expected of a node is config.ServerName, or the host
// that is dialled.
func DialFuncWithTLS(dial DialFunc, config *tls.Config) DialFunc {
	return func(ctx context.Context, address string) (net.Conn, error) {
		config := config.Clone()
		if config.ServerName == "" {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			config.ServerName = host
		}
		plain, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(plain, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = plain.Close()
			// The library is told by a number, and this is the one that says that it was not the network.
			return nil, fmt.Errorf("TLS with %s: %v: %w", address, err, syscall.EPROTO)
		}
		return conn, nil
	}
}
