package scan

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// Raw is a value in PostgreSQL's text format ("Data Types" of its manual); nil for NULL. It is a copy.
func Raw(v value.Value) []byte {
	switch v.Kind {
	case value.Null:
		return nil
	case value.Bool:
		if v.Int != 0 {
			return []byte("t")
		}
		return []byte("f")
	case value.Float:
		return rawFloat(v.Float)
	case value.Blob:
		return []byte(`\x` + hex.EncodeToString(v.Bytes))
	case value.Timestamp:
		return rawTime(v.Time)
	}
	text, _ := Text(v)
	return []byte(text)
}

// rawFloat writes an exponent where PostgreSQL does, which is later than Go.
func rawFloat(number float64) []byte {
	switch {
	case math.IsInf(number, 1):
		return []byte("Infinity")
	case math.IsInf(number, -1):
		return []byte("-Infinity")
	}
	format := byte('f')
	if size := math.Abs(number); size != 0 && (size < 1e-4 || size >= 1e15) {
		format = 'e'
	}
	return strconv.AppendFloat(nil, number, format, -1, 64)
}

func rawTime(t time.Time) []byte {
	text := t.AppendFormat(nil, "2006-01-02 15:04:05.999999-07")
	if _, offset := t.Zone(); offset%3600 != 0 {
		text = t.AppendFormat(nil, "2006-01-02 15:04:05.999999-07:00")
	}
	return text
}
