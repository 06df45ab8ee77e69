package sqldriver

import (
	"database/sql/driver"
	"encoding/hex"
	"reflect"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/value"
)

func named(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return out
}

func toValues(args []driver.NamedValue) ([]value.Value, error) {
	if len(args) == 0 {
		return nil, nil
	}
	out := make([]value.Value, len(args))
	for i, arg := range args {
		switch v := arg.Value.(type) {
		case nil:
		case int64:
			out[i] = value.FromInt(v)
		case float64:
			out[i] = value.FromFloat(v)
		case bool:
			out[i] = value.FromBool(v)
		case []byte:
			out[i] = value.FromBytes(v)
		case string:
			out[i] = value.FromText(v)
		case time.Time:
			out[i] = value.FromTime(v)
		case [16]byte:
			out[i] = value.Value{Kind: value.UUID, UUID: v}
		default:
			return nil, capi.Errorf(capi.KindMisuse, "parameter %d is of type %T, which is not sent", arg.Ordinal, v)
		}
		out[i].Name = arg.Name
	}
	return out, nil
}

// uuid is a value of 16 bytes, whatever its type is called.
func uuid(arg interface{}) (id [16]byte, ok bool) {
	v := reflect.ValueOf(arg)
	if v.Kind() != reflect.Array || v.Len() != len(id) || v.Type().Elem() != reflect.TypeOf(byte(0)) {
		return id, false
	}
	reflect.Copy(reflect.ValueOf(id[:]), v)
	return id, true
}

// fromValue gives a value that stays valid: bytes are copied.
func fromValue(v *value.Value) driver.Value {
	switch v.Kind {
	case value.Bool:
		return v.Int != 0
	case value.Int:
		return v.Int
	case value.Float:
		return v.Float
	case value.Text, value.Decimal:
		return string(v.Bytes)
	case value.Blob, value.JSON:
		return append([]byte{}, v.Bytes...)
	case value.Timestamp:
		return v.Time
	case value.Date:
		return v.Day()
	case value.UUID:
		return uuidText(v.UUID)
	}
	return nil
}

func uuidText(id [16]byte) string {
	text := make([]byte, 36)
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	for _, dash := range []int{8, 13, 18, 23} {
		text[dash] = '-'
	}
	return string(text)
}
