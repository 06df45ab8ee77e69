package capi

// #include "shim.h"
import "C"

import (
	"log"
	"runtime"
	"runtime/cgo"
	"time"
)

// Config is what a pool is opened with: a connection string, then options by name, and functions. One goroutine at a
// time changes it.
type Config struct {
	handle *C.quorate_config
	// warn is told of what the binding itself has to say: handles that nobody closed.
	warn func(string)
}

// NewConfig reads a connection string.
func NewConfig(url string) (*Config, error) {
	var handle *C.quorate_config
	err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_config_new(stringData(url), C.size_t(len(url)), &handle, native)
	})
	if err != nil {
		return nil, err
	}
	return newConfig(handle, func(message string) { log.Print("quorate: " + message) }), nil
}

func newConfig(handle *C.quorate_config, warn func(string)) *Config {
	c := &Config{handle: handle, warn: warn}
	runtime.SetFinalizer(c, func(c *Config) { C.quorate_config_free(c.handle) })
	return c
}

// Set sets an option by its name, as in a connection string.
func (c *Config) Set(option, value string) error {
	return call(nil, c, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_config_set(c.handle, stringData(option), C.size_t(len(option)), stringData(value),
			C.size_t(len(value)), native)
	})
}

// Get is the value of an option by its name, and whether it has one.
func (c *Config) Get(option string) (value string, ok bool, err error) {
	var buffer *C.quorate_buffer
	err = call(nil, c, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_config_get(c.handle, stringData(option), C.size_t(len(option)), &buffer, native)
	})
	if err != nil || buffer == nil {
		return "", false, err
	}
	return takeBuffer(buffer), true, nil
}

// duration is the value of an option that is one.
func (c *Config) duration(option string) (time.Duration, error) {
	text, _, err := c.Get(option)
	if err != nil || text == "" {
		return 0, err
	}
	limit, err := time.ParseDuration(text)
	if err != nil {
		return 0, Errorf(KindInternal, "the option %s is %q: %v", option, text, err)
	}
	return limit, nil
}

// Name is the name of the database.
func (c *Config) Name() (string, error) {
	var buffer *C.quorate_buffer
	err := call(nil, c, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_config_name(c.handle, &buffer, native)
	})
	if err != nil {
		return "", err
	}
	return takeBuffer(buffer), nil
}

// Copy is a copy that can be changed by itself. Functions are shared.
func (c *Config) Copy() (*Config, error) {
	var handle *C.quorate_config
	err := call(nil, c, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_config_copy(c.handle, &handle, native)
	})
	if err != nil {
		return nil, err
	}
	return newConfig(handle, c.warn), nil
}

// SetLog sets the function that is told what the library does; level is 1 for errors to 4 for what helps to find a
// fault. It is called by several threads at once, and must not use the pool.
func (c *Config) SetLog(f func(level int, message string)) error {
	c.warn = func(message string) { f(2, message) }
	return c.setFunction(f, func(handle C.uintptr_t, native **C.quorate_error) C.quorate_status {
		return C.qg_config_set_log(c.handle, handle, native)
	})
}

// SetEvent sets the function that is told when the cluster changes. It is called by several threads at once, and must
// make no call that takes a connection.
func (c *Config) SetEvent(f func(Event)) error {
	return c.setFunction(f, func(handle C.uintptr_t, native **C.quorate_error) C.quorate_status {
		return C.qg_config_set_event(c.handle, handle, native)
	})
}

// SetBalance sets the function that chooses among the instances of Picodata: it answers an index. It is called by several
// goroutines at once, should answer in microseconds, and must not use the pool.
func (c *Config) SetBalance(f func([]Candidate) int) error {
	return c.setFunction(f, func(handle C.uintptr_t, native **C.quorate_error) C.quorate_status {
		return C.qg_config_set_balance(c.handle, handle, native)
	})
}

// SetDial sets the function that makes connections. TLS, where it is configured, is spoken over what it answers.
func (c *Config) SetDial(f DialFunc) error {
	return c.setFunction(f, func(handle C.uintptr_t, native **C.quorate_error) C.quorate_status {
		return C.qg_config_set_dial(c.handle, handle, native)
	})
}

// SetStore sets the store that knows the nodes of a dqlite cluster, in place of the hosts.
func (c *Config) SetStore(store *Store) error {
	defer runtime.KeepAlive(store)
	return call(nil, c, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_config_set_store(c.handle, store.handle, native)
	})
}

// setFunction hands a function of Go over; the library frees its handle, also where it refuses it.
func (c *Config) setFunction(f interface{}, set func(C.uintptr_t, **C.quorate_error) C.quorate_status) error {
	handle := C.uintptr_t(cgo.NewHandle(f))
	return call(nil, c, func(native **C.quorate_error) C.quorate_status {
		return set(handle, native)
	})
}

func takeBuffer(buffer *C.quorate_buffer) string {
	var length C.size_t
	text := goString(C.quorate_buffer_data(buffer, &length), length)
	C.quorate_buffer_free(buffer)
	return text
}
