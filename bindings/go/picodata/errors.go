package picodata

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// Error is what went wrong in a call, what became of the statement, and which instance said so. It is the Error of package
// quorate, which has the names of its kinds and outcomes.
type Error = capi.Error

// Cause is the answer of one instance, where several were asked.
type Cause = capi.Cause

// ErrNoRows is what a Row answers where there is none. errors.Is finds sql.ErrNoRows in it, too.
var ErrNoRows error = noRows{}

type noRows struct{}

func (noRows) Error() string        { return "no rows in result set" }
func (noRows) Is(target error) bool { return target == sql.ErrNoRows }

// ErrTooManyRows is what CollectExactlyOneRow answers where there is more than one row.
var ErrTooManyRows = errors.New("too many rows in result set")

// ScanArgError is a value that does not fit what it was to be scanned into.
type ScanArgError struct {
	ColumnIndex int
	FieldName   string
	Err         error
}

// Error says which column it is, and why.
func (e ScanArgError) Error() string {
	if e.FieldName == "" {
		return fmt.Sprintf("can't scan into dest[%d]: %v", e.ColumnIndex, e.Err)
	}
	return fmt.Sprintf("can't scan into dest[%d] (col: %s): %v", e.ColumnIndex, e.FieldName, e.Err)
}

// Unwrap is why the value does not fit.
func (e ScanArgError) Unwrap() error { return e.Err }

// ParameterError is a parameter that cannot be sent. Nothing was.
type ParameterError struct {
	// Number is that of the placeholder, counted from 1.
	Number int
	Err    error
}

// Error says which parameter it is, and why.
func (e *ParameterError) Error() string {
	return fmt.Sprintf("parameter $%d: %v", e.Number, e.Err)
}

// Unwrap is why the parameter cannot be sent.
func (e *ParameterError) Unwrap() error { return e.Err }
