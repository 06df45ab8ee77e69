// Package value holds one SQL value, as the library's interface carries it.
package value

import "time"

// Kind is the type of a value. The numbers are those of quorate_type in quorate.h.
type Kind int32

// The types of values.
const (
	Null      Kind = 0
	Bool      Kind = 1 // Int is 0 or 1
	Int       Kind = 2 // Int
	Float     Kind = 3 // Float
	Text      Kind = 4 // Bytes, UTF-8
	Blob      Kind = 5 // Bytes
	Timestamp Kind = 6 // Time
	Date      Kind = 7 // Int: days from 1970-01-01
	UUID      Kind = 8 // UUID
	Decimal   Kind = 9 // Bytes: the number as text
	JSON      Kind = 10
)

// Value is one SQL value. Which member holds it is said by Kind.
//
// Bytes of a value that was read belong to the rows: they are valid until the next row is asked for, and are
// to be copied where they are kept. Bytes of a parameter are read while the call that it is given to runs.
type Value struct {
	Kind  Kind
	Int   int64
	Float float64
	Bytes []byte
	Time  time.Time
	UUID  [16]byte
	// Name is the name of a parameter, with or without its prefix; empty for one that is bound by position.
	Name string
}

// String is the name of the type, in the words of database/sql's column types.
func (k Kind) String() string {
	switch k {
	case Null:
		return "NULL"
	case Bool:
		return "BOOLEAN"
	case Int:
		return "INTEGER"
	case Float:
		return "DOUBLE"
	case Text:
		return "TEXT"
	case Blob:
		return "BLOB"
	case Timestamp:
		return "TIMESTAMP"
	case Date:
		return "DATE"
	case UUID:
		return "UUID"
	case Decimal:
		return "DECIMAL"
	case JSON:
		return "JSON"
	}
	return "UNKNOWN"
}

// FromTime is a timestamp.
func FromTime(t time.Time) Value { return Value{Kind: Timestamp, Time: t} }

// FromText is a text.
func FromText(s string) Value { return Value{Kind: Text, Bytes: []byte(s)} }

// FromInt is an integer.
func FromInt(i int64) Value { return Value{Kind: Int, Int: i} }

// FromFloat is a 64-bit number.
func FromFloat(f float64) Value { return Value{Kind: Float, Float: f} }

// FromBool is a truth value.
func FromBool(b bool) Value {
	v := Value{Kind: Bool}
	if b {
		v.Int = 1
	}
	return v
}

// FromBytes is a blob. A nil slice is NULL.
func FromBytes(b []byte) Value {
	if b == nil {
		return Value{}
	}
	return Value{Kind: Blob, Bytes: b}
}

// Day is the day of a Date, at midnight UTC.
func (v Value) Day() time.Time {
	return time.Unix(v.Int*24*60*60, 0).UTC()
}
