package scan

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"testing"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

type cents int64

func (c cents) Value() (driver.Value, error) { return float64(c) / 100, nil }

type lazy struct{ text string }

func (l *lazy) Value() (driver.Value, error) {
	if l == nil {
		return "nobody", nil
	}
	return l.text, nil
}

type broken struct{}

func (broken) Value() (driver.Value, error) { return nil, errRefused }

type coloured struct{ name string }

func (c coloured) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"colour": c.name})
}

func TestParametersBecomeValues(t *testing.T) {
	text := func(kind value.Kind, text string) value.Value { return value.Value{Kind: kind, Bytes: []byte(text)} }
	for _, c := range []struct {
		arg  any
		want value.Value
	}{
		{nil, null},
		{true, value.FromBool(true)},
		{int(-1), value.FromInt(-1)},
		{int8(-2), value.FromInt(-2)},
		{int16(3), value.FromInt(3)},
		{int32(4), value.FromInt(4)},
		{int64(math.MinInt64), value.FromInt(math.MinInt64)},
		{uint(5), value.FromInt(5)},
		{uint8(6), value.FromInt(6)},
		{uint64(math.MaxInt64), value.FromInt(math.MaxInt64)},
		{id(7), value.FromInt(7)},
		{float32(0.5), value.FromFloat(0.5)},
		{0.1, value.FromFloat(0.1)},
		{"x", value.FromText("x")},
		{status("ready"), value.FromText("ready")},
		{[]byte{1}, value.FromBytes([]byte{1})},
		{[]byte{}, value.Value{Kind: value.Blob, Bytes: []byte{}}},
		{[]byte(nil), null},
		{bytes{1}, value.FromBytes([]byte{1})},
		{noon, value.FromTime(noon)},
		{&noon, value.FromTime(noon)},
		{moment(noon), value.FromTime(noon)},
		{someID, aUUID},
		{uuid(someID), aUUID},
		{&someID, aUUID},
		{json.RawMessage(`{"a":1}`), text(value.JSON, `{"a":1}`)},
		{json.RawMessage(nil), null},
		{map[string]int{"a": 1}, text(value.JSON, `{"a":1}`)},
		{map[string]int(nil), null},
		{[]string{"a"}, text(value.JSON, `["a"]`)},
		{[]string(nil), null},
		{address{"Elm", 5}, text(value.JSON, `{"Street":"Elm","Number":5}`)},
		{&address{"Elm", 5}, text(value.JSON, `{"Street":"Elm","Number":5}`)},
		{(*address)(nil), null},
		{coloured{"red"}, text(value.JSON, `{"colour":"red"}`)},
		{netip.MustParseAddr("10.1.2.3"), value.FromText("10.1.2.3")},
		{newInt("123456789012345678901"), text(value.Decimal, "123456789012345678901")},
		{pointer(5), value.FromInt(5)},
		{pointer(pointer("x")), value.FromText("x")},
		{(*int)(nil), null},
		{cents(150), value.FromFloat(1.5)},
		{pointer(cents(150)), value.FromFloat(1.5)},
		{(*cents)(nil), null},
		{&lazy{"x"}, value.FromText("x")},
		{(*lazy)(nil), value.FromText("nobody")},
		{sql.NullInt64{Int64: 5, Valid: true}, value.FromInt(5)},
		{sql.NullString{}, null},
	} {
		got, err := FromGo(c.arg)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%T %v: %+v, %v; want %+v", c.arg, c.arg, got, err, c.want)
		}
	}
}

func TestParametersThatCannotBeSentAreErrors(t *testing.T) {
	for _, arg := range []any{uint64(math.MaxInt64) + 1, make(chan int), func() {}, complex(1, 1), map[string]any{"f": func() {}}} {
		if got, err := FromGo(arg); err == nil {
			t.Errorf("%T became %+v", arg, got)
		}
	}
	if _, err := FromGo(broken{}); !errors.Is(err, errRefused) {
		t.Errorf("the error of a Valuer is lost: %v", err)
	}
}
