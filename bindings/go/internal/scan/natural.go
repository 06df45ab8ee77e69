package scan

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// Natural is a value as the type of Go that suits it: bool, int64, float64, string (text and decimals), []byte, time.Time,
// [16]byte (a uuid), what encoding/json makes of JSON, and nil.
func Natural(v value.Value) (any, error) {
	switch v.Kind {
	case value.Null:
		return nil, nil
	case value.Bool:
		return v.Int != 0, nil
	case value.Int:
		return v.Int, nil
	case value.Float:
		return v.Float, nil
	case value.Text, value.Decimal:
		return string(v.Bytes), nil
	case value.Blob:
		return append([]byte{}, v.Bytes...), nil
	case value.Timestamp:
		return v.Time, nil
	case value.Date:
		return v.Day(), nil
	case value.UUID:
		return v.UUID, nil
	case value.JSON:
		var decoded any
		err := json.Unmarshal(v.Bytes, &decoded)
		return decoded, err
	}
	return nil, refuse(new(any), v)
}

// forScanner is a value as an sql.Scanner expects it: one of the types of driver.Value. Uuids, decimals and JSON are
// strings, as with pgx.
func forScanner(v value.Value) driver.Value {
	switch v.Kind {
	case value.Bool:
		return v.Int != 0
	case value.Int:
		return v.Int
	case value.Float:
		return v.Float
	case value.Blob:
		return append([]byte{}, v.Bytes...)
	case value.Timestamp:
		return v.Time
	case value.Date:
		return v.Day()
	}
	if text, ok := Text(v); ok {
		return text
	}
	return nil
}

// Text is a value in its text form. NULL has none.
func Text(v value.Value) (string, bool) {
	switch v.Kind {
	case value.Bool:
		return strconv.FormatBool(v.Int != 0), true
	case value.Int:
		return strconv.FormatInt(v.Int, 10), true
	case value.Float:
		return strconv.FormatFloat(v.Float, 'g', -1, 64), true
	case value.Text, value.Blob, value.Decimal, value.JSON:
		return string(v.Bytes), true
	case value.Timestamp:
		return v.Time.Format(time.RFC3339Nano), true
	case value.Date:
		return v.Day().Format("2006-01-02"), true
	case value.UUID:
		return formatUUID(v.UUID), true
	}
	return "", false
}

// groups are where the digits of a uuid lie in its text, and its bytes in it.
var groups = [...]struct{ text, start, end int }{{0, 0, 4}, {9, 4, 6}, {14, 6, 8}, {19, 8, 10}, {24, 10, 16}}

const uuidLength = 36

func formatUUID(id [16]byte) string {
	text := make([]byte, uuidLength)
	for i, g := range groups {
		hex.Encode(text[g.text:], id[g.start:g.end])
		if i > 0 {
			text[g.text-1] = '-'
		}
	}
	return string(text)
}

func parseUUID(text string) (id [16]byte, ok bool) {
	if len(text) != uuidLength {
		return id, false
	}
	for i, g := range groups {
		if i > 0 && text[g.text-1] != '-' {
			return id, false
		}
		digits := text[g.text : g.text+2*(g.end-g.start)]
		if _, err := hex.Decode(id[g.start:g.end], []byte(digits)); err != nil {
			return id, false
		}
	}
	return id, true
}
