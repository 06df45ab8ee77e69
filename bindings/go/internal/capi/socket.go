package capi

import (
	"net"
	"os"
	"syscall"
)

// dupCloseOnExec makes a second descriptor of a socket, which children do not inherit.
func dupCloseOnExec(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	copied, err := syscall.Dup(fd)
	if err != nil {
		return -1, err
	}
	syscall.CloseOnExec(copied)
	return copied, nil
}

// connOf is a connection over the socket fd, which it takes over.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "socketpair")
	defer file.Close()
	return net.FileConn(file)
}
