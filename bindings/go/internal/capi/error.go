package capi

// #include "shim.h"
import "C"

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// Kind says what sort of failure an error is. The numbers are those of quorate_status in quorate.h.
type Kind int32

// The kinds of errors.
const (
	KindConfig         Kind = C.QUORATE_STATUS_CONFIG
	KindMisuse         Kind = C.QUORATE_STATUS_MISUSE
	KindConversion     Kind = C.QUORATE_STATUS_CONVERSION
	KindNoRows         Kind = C.QUORATE_STATUS_NO_ROWS
	KindClosed         Kind = C.QUORATE_STATUS_CLOSED
	KindTimeout        Kind = C.QUORATE_STATUS_TIMEOUT
	KindPoolTimeout    Kind = C.QUORATE_STATUS_POOL_TIMEOUT
	KindCancelled      Kind = C.QUORATE_STATUS_CANCELLED
	KindConnect        Kind = C.QUORATE_STATUS_CONNECT
	KindTLS            Kind = C.QUORATE_STATUS_TLS
	KindAuthentication Kind = C.QUORATE_STATUS_AUTHENTICATION
	KindNoLeader       Kind = C.QUORATE_STATUS_NO_LEADER
	KindNotLeader      Kind = C.QUORATE_STATUS_NOT_LEADER
	KindDisconnected   Kind = C.QUORATE_STATUS_DISCONNECTED
	KindProtocol       Kind = C.QUORATE_STATUS_PROTOCOL
	KindBusy           Kind = C.QUORATE_STATUS_BUSY
	KindConstraint     Kind = C.QUORATE_STATUS_CONSTRAINT
	KindDatabase       Kind = C.QUORATE_STATUS_DATABASE
	KindUnsupported    Kind = C.QUORATE_STATUS_UNSUPPORTED
	KindStore          Kind = C.QUORATE_STATUS_STORE
	KindNode           Kind = C.QUORATE_STATUS_NODE
	KindForked         Kind = C.QUORATE_STATUS_FORKED
	KindInternal       Kind = C.QUORATE_STATUS_INTERNAL
)

// Outcome says what became of the statement that failed.
type Outcome int32

const (
	// NotSent: the statement never left this process whole, so no server can have run it.
	NotSent Outcome = C.QUORATE_OUTCOME_NOT_SENT
	// Rejected: a server answered that it did not apply the statement.
	Rejected Outcome = C.QUORATE_OUTCOME_REJECTED
	// Unknown: the statement may have been applied. Running it again may apply it twice.
	Unknown Outcome = C.QUORATE_OUTCOME_UNKNOWN
)

// String is the outcome in words.
func (o Outcome) String() string {
	switch o {
	case NotSent:
		return "not sent"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

// Error is what went wrong, what became of the statement, and who said so.
//
// errors.Is(err, context.Canceled) and errors.Is(err, context.DeadlineExceeded) hold where the context ended the call.
// errors.Is(err, driver.ErrBadConn) holds where the connection is no longer usable and the statement was not sent.
type Error struct {
	Kind    Kind
	Outcome Outcome
	// Code is the server's own number for the error (dqlite: SQLite's extended result code); HasCode says whether
	// there is one.
	Code    int32
	HasCode bool
	// SQLState has five characters, or none where the server has sent none.
	SQLState string
	// Node is the address of the node that was asked.
	Node string
	// Message is the sentence that says what happened.
	Message string

	// What PostgreSQL says of the error besides, under the names of pgx's PgError; empty, or 0, where it does not. Picodata
	// sends the severity alone; Detail is then the whole of a message of which Message is the innermost sentence. dqlite has
	// none of them. No field but Message is part of the text of the error, and some may hold values of rows.

	Detail string
	Hint   string
	// Severity is ERROR, FATAL or PANIC.
	Severity string
	// Position is where in the statement the error is: the number of a character of the text that the program gave,
	// counted from 1.
	Position int32
	// InternalQuery is a statement that the server has run by itself, such as one of a function, and InternalPosition a
	// place in it.
	InternalPosition int32
	InternalQuery    string
	// Where is what the server was doing, the innermost first, one a line.
	Where          string
	SchemaName     string
	TableName      string
	ColumnName     string
	DataTypeName   string
	ConstraintName string
	// File, Line and Routine are where in the server's source the error comes from.
	File    string
	Line    int32
	Routine string

	// Causes are what each node answered, where several were asked.
	Causes []Cause
	// Retryable says that the same call may be made again without the danger that the statement is applied twice,
	// and with hope that it succeeds.
	Retryable bool

	text  string
	cause error
}

// Cause is the answer of one node.
type Cause struct {
	Node string
	Err  *Error
}

// Error is the whole error in one line.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.text + ": " + e.cause.Error()
	}
	return e.text
}

// Unwrap is the error of the context, where that ended the call.
func (e *Error) Unwrap() error { return e.cause }

// ErrNoLeader is what errors.Is finds where no node of a cluster leads, or none of those that do could be reached.
var ErrNoLeader = errors.New("no available leader")

// ErrNoRows is what errors.Is finds where a query answered no row and one was asked for.
var ErrNoRows = errors.New("no rows in result set")

// DriverError is the server's own number for an error, and what it says.
type DriverError struct {
	Code    int
	Message string
}

// Error is what the server says.
func (e DriverError) Error() string { return e.Message }

// As gives the server's own number for the error, where there is one, to a *DriverError.
func (e *Error) As(target interface{}) bool {
	own, ok := target.(*DriverError)
	if !ok || !e.HasCode {
		return false
	}
	*own = DriverError{Code: int(e.Code), Message: e.Message}
	return true
}

// Is says whether the error stands for target. driver.ErrBadConn makes database/sql run the statement again on another
// connection, so it is claimed only where that cannot run it twice.
func (e *Error) Is(target error) bool {
	switch target {
	case driver.ErrBadConn:
		return e.Outcome == NotSent && (e.Kind == KindDisconnected || e.Kind == KindNotLeader)
	case ErrNoLeader:
		return e.Kind == KindNoLeader
	case ErrNoRows:
		return e.Kind == KindNoRows
	}
	return false
}

// Errorf is an error that the binding itself finds: nothing was sent.
func Errorf(kind Kind, format string, args ...interface{}) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{Kind: kind, Message: message, text: message}
}

// failed is the error of a call that ctx bounds, and frees what the library gave.
func failed(ctx context.Context, status C.quorate_status, native *C.quorate_error) error {
	if status == C.QUORATE_STATUS_OK {
		return nil
	}
	if native == nil {
		return Errorf(Kind(status), "status %d, without memory for more", int32(status))
	}
	defer C.quorate_error_free(native)
	err := newError(native)
	if ctx != nil && err.Kind.ends() {
		err.cause = ended(ctx)
	}
	return err
}

// ends says whether an error of the kind may be what a call has to say whose time was up. Where nobody could be reached until
// then, it says why.
func (k Kind) ends() bool {
	switch k {
	case KindCancelled, KindTimeout, KindPoolTimeout, KindNoLeader, KindConnect:
		return true
	}
	return false
}

// call calls the library and gives its error. ctx is what bounds the call, and may be nil. owner, whose finalizer frees what
// the call uses, is kept until the call has ended.
func call(ctx context.Context, owner interface{}, f func(native **C.quorate_error) C.quorate_status) error {
	var native *C.quorate_error
	status := f(&native)
	runtime.KeepAlive(owner)
	return failed(ctx, status, native)
}

func newError(native *C.quorate_error) *Error {
	err := &Error{
		Kind:      Kind(C.quorate_error_status(native)),
		Outcome:   Outcome(C.quorate_error_outcome(native)),
		Retryable: bool(C.quorate_error_is_retryable(native)),
	}
	var code C.int32_t
	err.HasCode = bool(C.quorate_error_code(native, &code))
	err.Code = int32(code)
	var length C.size_t
	text := func(pointer *C.char) string { return goString(pointer, length) }
	err.text = text(C.quorate_error_text(native, &length))
	err.Message = text(C.quorate_error_message(native, &length))
	err.SQLState = text(C.quorate_error_sqlstate(native, &length))
	err.Node = text(C.quorate_error_node(native, &length))
	err.Detail = text(C.quorate_error_detail(native, &length))
	if err.SQLState != "" {
		err.readFields(native)
	}
	for index := C.size_t(0); index < C.quorate_error_causes(native); index++ {
		node := text(C.quorate_error_cause_node(native, index, &length))
		if cause := C.quorate_error_cause(native, index); cause != nil {
			err.Causes = append(err.Causes, Cause{Node: node, Err: newError(cause)})
		}
	}
	return err
}

func (e *Error) readFields(native *C.quorate_error) {
	var length C.size_t
	text := func(pointer *C.char) string { return goString(pointer, length) }
	field := func(field C.int32_t) string { return text(C.quorate_error_field(native, field, &length)) }
	number := func(text string) int32 {
		number, _ := strconv.ParseInt(text, 10, 32)
		return int32(number)
	}
	e.Hint = text(C.quorate_error_hint(native, &length))
	e.Severity = field(C.QUORATE_FIELD_SEVERITY)
	e.Position = number(field(C.QUORATE_FIELD_POSITION))
	e.InternalPosition = number(field(C.QUORATE_FIELD_INTERNAL_POSITION))
	e.InternalQuery = field(C.QUORATE_FIELD_INTERNAL_QUERY)
	e.Where = field(C.QUORATE_FIELD_WHERE)
	e.SchemaName = field(C.QUORATE_FIELD_SCHEMA)
	e.TableName = field(C.QUORATE_FIELD_TABLE)
	e.ColumnName = field(C.QUORATE_FIELD_COLUMN)
	e.DataTypeName = field(C.QUORATE_FIELD_DATA_TYPE)
	e.ConstraintName = field(C.QUORATE_FIELD_CONSTRAINT)
	e.File = field(C.QUORATE_FIELD_FILE)
	e.Line = number(field(C.QUORATE_FIELD_LINE))
	e.Routine = field(C.QUORATE_FIELD_ROUTINE)
}

func goString(pointer *C.char, length C.size_t) string {
	if pointer == nil {
		return ""
	}
	return string(goBytes(unsafe.Pointer(pointer), length))
}

// goBytes are bytes of the library, without a copy.
func goBytes(pointer unsafe.Pointer, length C.size_t) []byte {
	if pointer == nil || length == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer), int(length))
}

// String is the kind in words.
func (k Kind) String() string {
	names := [...]string{"ok", "config", "misuse", "conversion", "no rows", "closed", "timeout", "pool timeout",
		"cancelled", "connect", "tls", "authentication", "no leader", "not leader", "disconnected", "protocol", "busy",
		"constraint", "database", "unsupported", "store", "node", "forked", "internal"}
	if k >= 0 && int(k) < len(names) {
		return names[k]
	}
	return strings.TrimSpace(fmt.Sprintf("status %d", int32(k)))
}
