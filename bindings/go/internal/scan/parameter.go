package scan

import (
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// FromGo is a parameter as a value. Text and bytes are shared with arg, not copied.
//
// nil and nil pointers are NULL, other pointers what they point to. A driver.Valuer is asked; a *big.Int is a decimal
// number; [16]byte, whatever its name, is a uuid; structs, maps and slices are JSON, but for structs that say themselves
// what their text is (encoding.TextMarshaler).
func FromGo(arg any) (value.Value, error) {
	switch arg := arg.(type) {
	case nil:
		return value.Value{}, nil
	case bool:
		return value.FromBool(arg), nil
	case int:
		return value.FromInt(int64(arg)), nil
	case int64:
		return value.FromInt(arg), nil
	case int32:
		return value.FromInt(int64(arg)), nil
	case float64:
		return value.FromFloat(arg), nil
	case string:
		return value.FromText(arg), nil
	case []byte:
		return value.FromBytes(arg), nil
	case time.Time:
		return value.FromTime(arg), nil
	case [16]byte:
		return value.Value{Kind: value.UUID, UUID: arg}, nil
	case json.RawMessage:
		if arg == nil {
			return value.Value{}, nil
		}
		return value.Value{Kind: value.JSON, Bytes: arg}, nil
	case driver.Valuer:
		return fromValuer(arg)
	}
	return fromReflect(arg)
}

func fromValuer(arg driver.Valuer) (value.Value, error) {
	// A nil pointer whose method has a value receiver would panic.
	if p := reflect.ValueOf(arg); p.Kind() == reflect.Ptr && p.IsNil() {
		if method, ok := p.Type().Elem().MethodByName("Value"); ok && method.Type.NumIn() == 1 {
			return value.Value{}, nil
		}
	}
	given, err := arg.Value()
	if err != nil {
		return value.Value{}, fmt.Errorf("%T.Value: %w", arg, err)
	}
	if _, again := given.(driver.Valuer); again {
		return value.Value{}, fmt.Errorf("%T.Value answers a %T, which is a driver.Valuer itself", arg, given)
	}
	return FromGo(given)
}

func fromReflect(arg any) (value.Value, error) {
	v := reflect.ValueOf(arg)
	switch v.Kind() {
	case reflect.Ptr:
		if v.IsNil() {
			return value.Value{}, nil
		}
		if number, ok := arg.(*big.Int); ok {
			return value.Value{Kind: value.Decimal, Bytes: number.Append(nil, 10)}, nil
		}
		if v.Elem().Kind() == reflect.Struct {
			if encoded, ok, err := encoded(arg); ok {
				return encoded, err
			}
		}
		return FromGo(v.Elem().Interface())
	case reflect.Bool:
		return value.FromBool(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return value.FromInt(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if v.Uint() > math.MaxInt64 {
			return value.Value{}, fmt.Errorf("%d is greater than the largest integer of 64 bits with a sign", v.Uint())
		}
		return value.FromInt(int64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return value.FromFloat(v.Float()), nil
	case reflect.String:
		return value.FromText(v.String()), nil
	case reflect.Slice:
		if v.IsNil() {
			return value.Value{}, nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return value.FromBytes(v.Bytes()), nil
		}
		return toJSON(arg)
	case reflect.Array:
		if v.Len() == 16 && v.Type().Elem().Kind() == reflect.Uint8 {
			id := value.Value{Kind: value.UUID}
			reflect.Copy(reflect.ValueOf(id.UUID[:]), v)
			return id, nil
		}
		return toJSON(arg)
	case reflect.Map:
		if v.IsNil() {
			return value.Value{}, nil
		}
		return toJSON(arg)
	case reflect.Struct:
		if encoded, ok, err := encoded(arg); ok {
			return encoded, err
		}
		if timeType := reflect.TypeOf(time.Time{}); v.Type().ConvertibleTo(timeType) {
			return value.FromTime(v.Convert(timeType).Interface().(time.Time)), nil
		}
		return toJSON(arg)
	}
	return value.Value{}, fmt.Errorf("a %T cannot be a parameter", arg)
}

// encoded asks a struct that knows its own form.
func encoded(arg any) (v value.Value, ok bool, err error) {
	switch arg := arg.(type) {
	case *time.Time:
		return value.FromTime(*arg), true, nil
	case json.Marshaler:
		v, err = toJSON(arg)
		return v, true, err
	case encoding.TextMarshaler:
		text, err := arg.MarshalText()
		if err != nil {
			return value.Value{}, true, fmt.Errorf("%T.MarshalText: %w", arg, err)
		}
		return value.Value{Kind: value.Text, Bytes: text}, true, nil
	}
	return value.Value{}, false, nil
}

func toJSON(arg any) (value.Value, error) {
	text, err := json.Marshal(arg)
	if err != nil {
		return value.Value{}, fmt.Errorf("a %T cannot be written as JSON: %w", arg, err)
	}
	return value.Value{Kind: value.JSON, Bytes: text}, nil
}
