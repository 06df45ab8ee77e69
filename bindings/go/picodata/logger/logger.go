// Package logger says where a pool's messages go; see picodata.WithLogger and picodata.WithLogLevel.
package logger

import (
	"fmt"
	"log"
	"sync/atomic"
)

// Logger takes the messages of a pool. Several goroutines call it at once; it must not use the pool.
type Logger interface {
	// Log takes a message; fields are the arguments of msg, a format of package fmt.
	Log(level LogLevel, msg string, fields ...any)
	// SetLevel says which messages are wanted: those of level, and those that matter more.
	SetLevel(level LogLevel) error
}

// LogLevel says how much a message matters.
type LogLevel int

const (
	// LevelNone wants no messages.
	LevelNone LogLevel = iota
	// LevelError is for what does not work and will not by itself.
	LevelError
	// LevelWarn is for what does not work at the moment.
	LevelWarn
	// LevelInfo is for what changes: instances that come and go, another leader.
	LevelInfo
	// LevelDebug is for what helps to find a fault.
	LevelDebug
)

// String names the level, or says that there is no such level.
func (l LogLevel) String() (string, error) {
	names := [...]string{"NONE", "ERROR", "WARN", "INFO", "DEBUG"}
	if l < 0 || int(l) >= len(names) {
		return "", fmt.Errorf("picodata: there is no log level %d", int(l))
	}
	return names[l], nil
}

// New is the logger that a pool has unless it is given another: it writes with the standard library's log.Print, at first
// what has LevelInfo and matters more.
func New() Logger { return &standard{level: int32(LevelInfo)} }

type standard struct{ level int32 }

func (s *standard) SetLevel(level LogLevel) error {
	if _, err := level.String(); err != nil {
		return err
	}
	atomic.StoreInt32(&s.level, int32(level))
	return nil
}

func (s *standard) Log(level LogLevel, msg string, fields ...any) {
	name, err := level.String()
	if err != nil || level == LevelNone || level > LogLevel(atomic.LoadInt32(&s.level)) {
		return
	}
	log.Printf("[%s] %s", name, fmt.Sprintf(msg, fields...))
}
