package picodata_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/quorate"
)

type house struct {
	Street string `json:"street"`
	Rooms  []int  `json:"rooms"`
}

var (
	someID  = [16]byte{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00}
	idText  = "123e4567-e89b-12d3-a456-426614174000"
	noon    = time.Date(2026, 11, 25, 12, 30, 0, 123456000, time.UTC)
	numeral = "-1234567890123456789.000000001"
)

func address[T any](v T) *T { return &v }

// What is sent as one type comes back as it, or as another one that the program asks for.
func TestTypesGoToTheServerAndComeBack(t *testing.T) {
	pool := single(t)
	bigger, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, c := range []struct {
		kind string
		sent any
		want any
	}{
		{"bigint", int64(math.MinInt64), int64(math.MinInt64)},
		{"bigint", uint8(255), uint8(255)},
		{"bigint", 5, "5"},
		{"int", -5, int32(-5)},
		{"smallint", int8(-5), int16(-5)},
		{"double precision", 0.1, 0.1},
		{"double precision", 3, 3.0},
		{"real", float32(0.5), float32(0.5)},
		{"bool", true, true},
		{"text", "né\n'", "né\n'"},
		{"text", "", ""},
		{"varchar", "x", []byte("x")},
		{"text", []byte("x"), "x"},
		{"json", []byte(`{"a": 1}`), json.RawMessage(`{"a": 1}`)},
		{"bytea", []byte{0, 1, 255}, []byte{0, 1, 255}},
		{"timestamptz", noon, noon},
		{"timestamptz", address(noon), address(noon)},
		{"uuid", someID, someID},
		{"uuid", idText, idText},
		{"uuid", someID, idText},
		{"uuid", idText, someID},
		{"numeric", numeral, numeral},
		{"numeric", bigger, *bigger},
		{"numeric", 42, int64(42)},
		{"json", house{"Elm", []int{1, 2}}, house{"Elm", []int{1, 2}}},
		{"jsonb", map[string]any{"a": []any{1.0, nil}}, map[string]any{"a": []any{1.0, nil}}},
		{"json", json.RawMessage(`{"a": 1}`), json.RawMessage(`{"a": 1}`)},
		{"json", json.RawMessage(`{"a": 1}`), `{"a": 1}`},
		{"json", []string{"a"}, []string{"a"}},
		{"json", address(house{"Elm", nil}), address(house{"Elm", nil})},
		{"bigint", nil, (*int)(nil)},
		{"bigint", (*int)(nil), (*int)(nil)},
		{"text", address("x"), address("x")},
		{"json", nil, map[string]any(nil)},
		{"bytea", []byte(nil), []byte(nil)},
	} {
		got := reflect.New(reflect.TypeOf(c.want))
		err := pool.QueryRow(soon(t), "SELECT $1::"+c.kind, c.sent).Scan(got.Interface())
		if err != nil {
			t.Errorf("%T as %s into %T: %v", c.sent, c.kind, c.want, err)
			continue
		}
		value := got.Elem().Interface()
		if moment, ok := value.(time.Time); ok && moment.Equal(noon) {
			continue
		}
		if moment, ok := value.(*time.Time); ok && moment.Equal(noon) {
			continue
		}
		if !reflect.DeepEqual(value, c.want) {
			t.Errorf("%T as %s: %#v, not %#v", c.sent, c.kind, value, c.want)
		}
	}
}

func TestValuesAreOfNaturalTypes(t *testing.T) {
	rows, err := single(t).Query(soon(t), `SELECT true, 1::smallint, 2::bigint, 0.5::double precision, 'x'::text,
		1.50::numeric, '\x00ff'::bytea, '2026-11-25 12:30:00.123456+00'::timestamptz, $1::uuid, '{"a": [1]}'::json,
		NULL::text`, idText)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	got, err := rows.Values()
	if err != nil {
		t.Fatal(err)
	}
	if moment := got[7].(time.Time); !moment.Equal(noon) {
		t.Errorf("%v", moment)
	}
	got[7] = nil
	want := []any{true, int64(1), int64(2), 0.5, "x", "1.50", []byte{0, 255}, nil, someID, map[string]any{"a": []any{1.0}}, nil}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%#v", got)
	}
}

func TestAValueThatDoesNotFitIsNamed(t *testing.T) {
	pool := single(t)
	var name string
	var small int8
	err := pool.QueryRow(soon(t), "SELECT 'x' AS name, 300 AS stock").Scan(&name, &small)
	var wrong picodata.ScanArgError
	if !errors.As(err, &wrong) || wrong.ColumnIndex != 1 || wrong.FieldName != "stock" ||
		err.Error() != "can't scan into dest[1] (col: stock): cannot scan 300 into *int8: it is out of range" {
		t.Errorf("%v", err)
	}
	err = pool.QueryRow(soon(t), "SELECT 1, 2").Scan(&small)
	if err == nil || !strings.Contains(err.Error(), "2 columns and 1 destinations") {
		t.Errorf("%v", err)
	}
}

func TestAParameterThatCannotBeSentIsNamed(t *testing.T) {
	_, err := single(t).Exec(soon(t), "SELECT $1::int, $2::int", 1, make(chan int))
	var wrong *picodata.ParameterError
	if !errors.As(err, &wrong) || wrong.Number != 2 {
		t.Errorf("%v", err)
	}
}

func TestAWrongNumberOfParametersIsRefusedHere(t *testing.T) {
	_, err := single(t).Exec(soon(t), "SELECT $1::int, $2::int", 1)
	var failure *picodata.Error
	if !errors.As(err, &failure) || failure.Kind != quorate.KindMisuse || failure.Outcome != quorate.NotSent {
		t.Errorf("%v", err)
	}
}
