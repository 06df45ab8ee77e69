package scan

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

type (
	status  string
	id      int16
	bytes   []byte
	uuid    [16]byte
	moment  time.Time
	address struct {
		Street string
		Number int
	}
)

var (
	noon    = time.Date(2026, 11, 25, 12, 0, 0, 123456000, time.FixedZone("", 3*60*60))
	someID  = [16]byte{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00}
	null    = value.Value{}
	aUUID   = value.Value{Kind: value.UUID, UUID: someID}
	aBlob   = value.Value{Kind: value.Blob, Bytes: []byte{0, 1, 255}}
	aDate   = value.Value{Kind: value.Date, Int: 20782}
	decimal = func(text string) value.Value { return value.Value{Kind: value.Decimal, Bytes: []byte(text)} }
	inJSON  = func(text string) value.Value { return value.Value{Kind: value.JSON, Bytes: []byte(text)} }
)

const someIDText = "123e4567-e89b-12d3-a456-426614174000"

// scanned scans v into a new variable of want's type.
func scanned(want any, v value.Value) (any, error) {
	dst := reflect.New(reflect.TypeOf(want))
	err := Scan(dst.Interface(), v)
	return dst.Elem().Interface(), err
}

func pointer[T any](v T) *T { return &v }

func TestScanGivesTheValueInTheTypeThatIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		v    value.Value
		want any
	}{
		{value.FromInt(-7), int(-7)},
		{value.FromInt(math.MinInt8), int8(math.MinInt8)},
		{value.FromInt(math.MaxInt16), int16(math.MaxInt16)},
		{value.FromInt(math.MaxInt32), int32(math.MaxInt32)},
		{value.FromInt(math.MinInt64), int64(math.MinInt64)},
		{value.FromInt(7), uint(7)},
		{value.FromInt(255), uint8(255)},
		{value.FromInt(65535), uint16(65535)},
		{value.FromInt(math.MaxUint32), uint32(math.MaxUint32)},
		{value.FromInt(math.MaxInt64), uint64(math.MaxInt64)},
		{value.FromInt(5), id(5)},
		{value.FromInt(5), "5"},
		{value.FromInt(5), float64(5)},
		{value.FromFloat(3), int64(3)},
		{decimal("18446744073709551615"), uint64(math.MaxUint64)},
		{decimal("42.00"), int32(42)},
		{decimal("12.50"), "12.50"},
		{decimal("12.50"), 12.5},
		{decimal("123456789012345678901234567890"), *newInt("123456789012345678901234567890")},
		{value.FromFloat(1.5), 1.5},
		{value.FromFloat(1.5), float32(1.5)},
		{value.FromFloat(math.Inf(-1)), float32(math.Inf(-1))},
		{value.FromFloat(0.1), "0.1"},
		{value.FromBool(true), true},
		{value.FromBool(false), "false"},
		{value.FromText("né\x00"), "né\x00"},
		{value.FromText("ready"), status("ready")},
		{value.FromText("ab"), []byte("ab")},
		{value.FromText(""), []byte{}},
		{value.FromText("10.1.2.3"), netip.MustParseAddr("10.1.2.3")},
		{aBlob, []byte{0, 1, 255}},
		{aBlob, bytes{0, 1, 255}},
		{value.FromTime(noon), noon},
		{value.FromTime(noon), moment(noon)},
		{value.FromTime(noon), "2026-11-25T12:00:00.123456+03:00"},
		{aDate, time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)},
		{aDate, "2026-11-25"},
		{aUUID, someID},
		{aUUID, uuid(someID)},
		{aUUID, someIDText},
		{aUUID, someID[:]},
		{value.FromText(someIDText), someID},
		{value.Value{Kind: value.Blob, Bytes: someID[:]}, someID},
		{inJSON(`{"Street":"Elm","Number":5}`), address{"Elm", 5}},
		{inJSON(`{"a":[1,null]}`), map[string]any{"a": []any{1.0, nil}}},
		{inJSON(`["a","b"]`), []string{"a", "b"}},
		{inJSON(`[1,2]`), [2]int{1, 2}},
		{inJSON(`{"a":1}`), json.RawMessage(`{"a":1}`)},
		{inJSON(`{"a":1}`), `{"a":1}`},
		{inJSON(`{"a":1}`), []byte(`{"a":1}`)},
		{value.FromInt(5), pointer(5)},
		{inJSON(`{"Street":"Elm"}`), &address{Street: "Elm"}},
		{null, (*int)(nil)},
		{null, (**string)(nil)},
		{null, []byte(nil)},
		{null, json.RawMessage(nil)},
		{null, map[string]any(nil)},
		{null, []string(nil)},
		{null, sql.NullString{}},
		{value.FromText("x"), sql.NullString{String: "x", Valid: true}},
		{decimal("1.5"), sql.NullString{String: "1.5", Valid: true}},
		{aUUID, sql.NullString{String: someIDText, Valid: true}},
		{inJSON(`[1]`), sql.NullString{String: "[1]", Valid: true}},
		{value.FromInt(5), sql.NullInt64{Int64: 5, Valid: true}},
		{value.FromTime(noon), sql.NullTime{Time: noon, Valid: true}},
	} {
		got, err := scanned(c.want, c.v)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v into %T: %v, %v; want %v", c.v.Kind, c.want, got, err, c.want)
		}
	}
}

func newInt(text string) *big.Int {
	number, _ := new(big.Int).SetString(text, 10)
	return number
}

func TestScanIntoAnyGivesTheNaturalType(t *testing.T) {
	for _, c := range []struct {
		v    value.Value
		want any
	}{
		{null, nil},
		{value.FromBool(true), true},
		{value.FromInt(5), int64(5)},
		{value.FromFloat(0.5), 0.5},
		{value.FromText("x"), "x"},
		{decimal("1.50"), "1.50"},
		{aBlob, []byte{0, 1, 255}},
		{value.FromTime(noon), noon},
		{aDate, time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)},
		{aUUID, someID},
		{inJSON(`{"a":[true]}`), map[string]any{"a": []any{true}}},
	} {
		var got any = "before"
		if err := Scan(&got, c.v); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %#v, %v; want %#v", c.v.Kind, got, err, c.want)
		}
	}
}

func TestScanRefusesWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		v    value.Value
		want any
		text string
	}{
		{value.FromInt(128), int8(0), "cannot scan 128 into *int8: it is out of range"},
		{value.FromInt(math.MaxInt32 + 1), int32(0), "out of range"},
		{value.FromInt(-1), uint64(0), "cannot scan -1 into *uint64: it is out of range"},
		{value.FromInt(256), uint8(0), "out of range"},
		{value.FromInt(40000), id(0), "cannot scan 40000 into *scan.id: it is out of range"},
		{value.FromFloat(1.5), int64(0), "cannot scan 1.5 into *int64: it has a fraction"},
		{value.FromFloat(1e300), int64(0), "out of range"},
		{value.FromFloat(math.NaN()), int64(0), "out of range"},
		{value.FromFloat(1e300), float32(0), "out of range"},
		{decimal("9223372036854775808"), int64(0), "out of range"},
		{decimal("0.5"), int64(0), "it has a fraction"},
		{decimal("1e1000000"), int64(0), "out of range"},
		{value.FromText("5"), int64(0), "cannot scan TEXT into *int64"},
		{value.FromText("true"), false, "cannot scan TEXT into *bool"},
		{value.FromInt(1), false, "cannot scan INTEGER into *bool"},
		{value.FromText("2026-11-25"), time.Time{}, "cannot scan TEXT into *time.Time"},
		{value.FromText("no uuid"), someID, "no uuid"},
		{value.FromText(strings.Replace(someIDText, "-", "0", 1)), someID, "no uuid"},
		{value.FromText(strings.Replace(someIDText, "e", "x", 1)), someID, "no uuid"},
		{aBlob, someID, "cannot scan BLOB into *[16]uint8"},
		{value.FromText("{}"), address{}, "cannot scan TEXT into *scan.address"},
		{value.FromInt(5), []byte(nil), "cannot scan INTEGER into *[]uint8"},
		{null, 0, "cannot scan NULL into *int: scan into a pointer to a pointer"},
		{null, "", "cannot scan NULL into *string"},
		{null, false, "cannot scan NULL into *bool"},
		{null, status(""), "cannot scan NULL"},
		{null, time.Time{}, "cannot scan NULL"},
		{null, address{}, "cannot scan NULL"},
		{null, [16]byte{}, "cannot scan NULL"},
		{value.FromInt(300), pointer(int8(0)), "out of range"},
	} {
		got, err := scanned(c.want, c.v)
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v into %T: %v, %v; want %q", c.v.Kind, c.want, got, err, c.text)
		}
	}
	for _, dst := range []any{5, "x", (*int)(nil), (*sql.NullString)(nil)} {
		if err := Scan(dst, value.FromInt(5)); err == nil {
			t.Errorf("a %T was scanned into", dst)
		}
	}
	if err := Scan(nil, value.FromInt(5)); err != nil {
		t.Errorf("nil leaves a value out: %v", err)
	}
}

func TestAValueThatWasRefusedLeavesThePointerAlone(t *testing.T) {
	kept := 5
	p := &kept
	if err := Scan(&p, value.FromText("x")); err == nil || p != &kept || kept != 5 {
		t.Errorf("%v, %v", p, err)
	}
}

func TestWhatWasScannedDoesNotChangeWithTheMemoryOfTheRows(t *testing.T) {
	memory := []byte("before")
	v := value.Value{Kind: value.Blob, Bytes: memory}
	var raw []byte
	var text string
	var natural any
	var viaScanner keeper
	for _, dst := range []any{&raw, &text, &natural, &viaScanner} {
		if err := Scan(dst, v); err != nil {
			t.Fatal(err)
		}
	}
	copy(memory, "behind")
	for _, got := range []any{raw, text, natural, viaScanner.got} {
		if fmt.Sprintf("%s", got) != "before" {
			t.Errorf("%T has changed to %s", got, got)
		}
	}
}

// keeper is an sql.Scanner that keeps what it is given.
type keeper struct{ got any }

func (k *keeper) Scan(v any) error { k.got = v; return nil }

type refusing struct{}

var errRefused = errors.New("refused")

func (*refusing) Scan(any) error { return errRefused }

func TestAScannersOwnErrorIsFound(t *testing.T) {
	if err := Scan(&refusing{}, value.FromInt(1)); !errors.Is(err, errRefused) {
		t.Error(err)
	}
}
