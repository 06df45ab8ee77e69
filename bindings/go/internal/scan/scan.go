// Package scan turns values into what a Go program asks for, and what it gives into values.
//
// The types are those that pgx takes. What it refuses is refused here, too, but for text: a number, a truth value or a
// time may be read as a string, as database/sql allows.
package scan

import (
	"database/sql"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// Scan stores v in what dst points to, which shares no memory with v afterwards. A dst of nil leaves the value out.
//
// A pointer to a pointer takes NULL as nil; other types that cannot hold NULL refuse it. A whole number is refused by a
// type that is too small for it. JSON is decoded by encoding/json into whatever is no string and no []byte.
func Scan(dst any, v value.Value) error {
	switch dst := dst.(type) {
	case nil:
		return nil
	case sql.Scanner:
		if p := reflect.ValueOf(dst); p.Kind() != reflect.Ptr || !p.IsNil() {
			return dst.Scan(forScanner(v))
		}
	case *any:
		if dst != nil {
			return scanAny(dst, v)
		}
	case *[]byte:
		if dst != nil {
			return scanBytes(dst, v)
		}
	case *string:
		if dst != nil {
			return scanText(dst, v)
		}
	case *int64:
		if dst != nil {
			return scanInt(v, dst)
		}
	case *int:
		if dst != nil {
			return scanInt(v, dst)
		}
	case *int32:
		if dst != nil {
			return scanInt(v, dst)
		}
	case *time.Time:
		if dst != nil {
			return scanTime(dst, v)
		}
	case *[16]byte:
		if dst != nil {
			return scanUUID(dst, v)
		}
	}
	return scanReflect(dst, v)
}

// scanReflect is for the types that have a name of their own, and for those that are asked for seldom.
func scanReflect(dst any, v value.Value) error {
	pointer := reflect.ValueOf(dst)
	if pointer.Kind() != reflect.Ptr {
		return fmt.Errorf("cannot scan into %T, which is no pointer", dst)
	}
	if pointer.IsNil() {
		return fmt.Errorf("cannot scan into %T, which is nil", dst)
	}
	target := pointer.Elem()
	switch target.Kind() {
	case reflect.Ptr:
		if v.Kind == value.Null {
			target.Set(reflect.Zero(target.Type()))
			return nil
		}
		// What is there stays as it is if the value cannot be taken.
		fresh := reflect.New(target.Type().Elem())
		if err := Scan(fresh.Interface(), v); err != nil {
			return err
		}
		target.Set(fresh)
		return nil
	case reflect.Interface:
		return scanInterface(target, v)
	}
	if v.Kind == value.Null {
		switch target.Kind() {
		case reflect.Map, reflect.Slice:
			target.Set(reflect.Zero(target.Type()))
			return nil
		}
		return refuse(dst, v)
	}
	if raw, ok := dst.(*json.RawMessage); ok {
		return scanBytes((*[]byte)(raw), v)
	}
	if parser, ok := dst.(encoding.TextUnmarshaler); ok && v.Kind != value.JSON {
		if text, ok := Text(v); ok {
			return parser.UnmarshalText([]byte(text))
		}
	}
	if _, ok := dst.(json.Unmarshaler); ok && v.Kind == value.JSON {
		return json.Unmarshal(v.Bytes, dst)
	}
	switch target.Kind() {
	case reflect.Bool:
		if v.Kind == value.Bool {
			target.SetBool(v.Int != 0)
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		number, err := integer(dst, v)
		if err != nil {
			return err
		}
		if target.OverflowInt(number) {
			return tooLarge(dst, v)
		}
		target.SetInt(number)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		number, err := unsigned(dst, v)
		if err != nil {
			return err
		}
		if target.OverflowUint(number) {
			return tooLarge(dst, v)
		}
		target.SetUint(number)
		return nil
	case reflect.Float32, reflect.Float64:
		number, err := float(dst, v, target.Type().Bits())
		if err != nil {
			return err
		}
		target.SetFloat(number)
		return nil
	case reflect.String:
		if text, ok := Text(v); ok {
			target.SetString(text)
			return nil
		}
	case reflect.Array:
		if v.Kind != value.JSON && target.Len() == 16 && target.Type().Elem().Kind() == reflect.Uint8 {
			var id [16]byte
			if err := scanUUID(&id, v); err != nil {
				return refuse(dst, v)
			}
			reflect.Copy(target, reflect.ValueOf(id[:]))
			return nil
		}
	case reflect.Slice:
		if target.Type().Elem().Kind() == reflect.Uint8 {
			var bytes []byte
			err := scanBytes(&bytes, v)
			target.SetBytes(bytes)
			return err
		}
	}
	switch timeType := reflect.TypeOf(time.Time{}); {
	case target.Type().ConvertibleTo(timeType) && v.Kind != value.JSON:
		var moment time.Time
		if err := scanTime(&moment, v); err != nil {
			return refuse(dst, v)
		}
		target.Set(reflect.ValueOf(moment).Convert(target.Type()))
		return nil
	case v.Kind == value.JSON:
		return json.Unmarshal(v.Bytes, dst)
	}
	return refuse(dst, v)
}

func scanInterface(target reflect.Value, v value.Value) error {
	natural, err := Natural(v)
	if err != nil {
		return err
	}
	if natural == nil {
		target.Set(reflect.Zero(target.Type()))
		return nil
	}
	given := reflect.ValueOf(natural)
	if !given.Type().AssignableTo(target.Type()) {
		return refuse(target.Addr().Interface(), v)
	}
	target.Set(given)
	return nil
}

func scanAny(dst *any, v value.Value) error {
	natural, err := Natural(v)
	if err == nil {
		*dst = natural
	}
	return err
}

func scanText(dst *string, v value.Value) error {
	text, ok := Text(v)
	if !ok {
		return refuse(dst, v)
	}
	*dst = text
	return nil
}

func scanBytes(dst *[]byte, v value.Value) error {
	switch v.Kind {
	case value.Null:
		*dst = nil
	case value.Text, value.Blob, value.Decimal, value.JSON:
		*dst = append([]byte{}, v.Bytes...)
	case value.UUID:
		*dst = append([]byte{}, v.UUID[:]...)
	default:
		return refuse(dst, v)
	}
	return nil
}

func scanTime(dst *time.Time, v value.Value) error {
	switch v.Kind {
	case value.Timestamp:
		*dst = v.Time
	case value.Date:
		*dst = v.Day()
	default:
		return refuse(dst, v)
	}
	return nil
}

func scanUUID(dst *[16]byte, v value.Value) error {
	switch v.Kind {
	case value.UUID:
		*dst = v.UUID
		return nil
	case value.Text:
		id, ok := parseUUID(string(v.Bytes))
		if !ok {
			return fmt.Errorf("cannot scan a TEXT that is no uuid into %T", dst)
		}
		*dst = id
		return nil
	case value.Blob:
		if len(v.Bytes) == len(dst) {
			copy(dst[:], v.Bytes)
			return nil
		}
	}
	return refuse(dst, v)
}

// errNull is what a type that cannot hold NULL answers.
var errNull = errors.New("cannot scan NULL")

func refuse(dst any, v value.Value) error {
	if v.Kind == value.Null {
		return fmt.Errorf("%w into %T: scan into a pointer to a pointer, or into an sql.Null type", errNull, dst)
	}
	return fmt.Errorf("cannot scan %v into %T", v.Kind, dst)
}

func tooLarge(dst any, v value.Value) error {
	text, _ := Text(v)
	return fmt.Errorf("cannot scan %s into %T: it is out of range", text, dst)
}
