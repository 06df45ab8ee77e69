package scan

import (
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// scanInt stores a whole number in one of the types that are asked for most.
func scanInt[T int | int32 | int64](v value.Value, dst *T) error {
	number, err := integer(dst, v)
	if err != nil {
		return err
	}
	if int64(T(number)) != number {
		return tooLarge(dst, v)
	}
	*dst = T(number)
	return nil
}

// integer is a value as a whole number; a number with a fraction is refused.
func integer(dst any, v value.Value) (int64, error) {
	switch v.Kind {
	case value.Int:
		return v.Int, nil
	case value.Float, value.Decimal:
		whole, err := wholeNumber(dst, v)
		if err != nil {
			return 0, err
		}
		if !whole.IsInt64() {
			return 0, tooLarge(dst, v)
		}
		return whole.Int64(), nil
	}
	return 0, refuse(dst, v)
}

func unsigned(dst any, v value.Value) (uint64, error) {
	switch v.Kind {
	case value.Int:
		if v.Int < 0 {
			return 0, tooLarge(dst, v)
		}
		return uint64(v.Int), nil
	case value.Float, value.Decimal:
		whole, err := wholeNumber(dst, v)
		if err != nil {
			return 0, err
		}
		if !whole.IsUint64() {
			return 0, tooLarge(dst, v)
		}
		return whole.Uint64(), nil
	}
	return 0, refuse(dst, v)
}

// longestWhole is how many characters of a decimal are read as a whole number, so that 1e1000000 costs nothing.
const longestWhole = 64

func wholeNumber(dst any, v value.Value) (*big.Int, error) {
	number := new(big.Rat)
	switch {
	case v.Kind == value.Float:
		if number.SetFloat64(v.Float) == nil {
			return nil, tooLarge(dst, v)
		}
	case !plainDecimal(v.Bytes):
		return nil, tooLarge(dst, v)
	default:
		if _, ok := number.SetString(string(v.Bytes)); !ok {
			return nil, refuse(dst, v)
		}
	}
	if !number.IsInt() {
		text, _ := Text(v)
		return nil, fmt.Errorf("cannot scan %s into %T: it has a fraction", text, dst)
	}
	return number.Num(), nil
}

// plainDecimal says whether a number is written in a few digits, without an exponent.
func plainDecimal(text []byte) bool {
	if len(text) == 0 || len(text) > longestWhole {
		return false
	}
	for _, c := range text {
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' {
			return false
		}
	}
	return true
}

// float is a value as a number of so many bits; one that is too large for 32 is refused.
func float(dst any, v value.Value, bits int) (float64, error) {
	var number float64
	switch v.Kind {
	case value.Float:
		number = v.Float
	case value.Int:
		return float64(v.Int), nil
	case value.Decimal:
		parsed, err := strconv.ParseFloat(string(v.Bytes), 64)
		if err != nil {
			return 0, tooLarge(dst, v)
		}
		number = parsed
	default:
		return 0, refuse(dst, v)
	}
	if bits == 32 && math.Abs(number) > math.MaxFloat32 && !math.IsInf(number, 0) {
		return 0, tooLarge(dst, v)
	}
	return number, nil
}
