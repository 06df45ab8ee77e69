package picodata_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate/quorate/bindings/go/picodata"
)

type base struct{ ID int }

type item struct {
	base
	Name    string
	InStock *int `db:"stock"`
	Ignored int  `db:"-"`
	private int
}

const items = "SELECT id, name, stock FROM (VALUES (1, 'bricks', 1123), (2, 'panels', NULL)) AS item (id, name, stock)"

func query(t *testing.T, sql string) picodata.Rows {
	t.Helper()
	rows, err := single(t).Query(soon(t), sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRowsBecomeWhatAFunctionMakesOfThem(t *testing.T) {
	want := []item{{base: base{1}, Name: "bricks", InStock: address(1123)}, {base: base{2}, Name: "panels"}}
	for name, fn := range map[string]picodata.RowToFunc[item]{
		"by position": picodata.RowToStructByPos[item],
		"by name":     picodata.RowToStructByName[item],
	} {
		got, err := picodata.CollectRows(query(t, items), fn)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	pointers, err := picodata.CollectRows(query(t, items), picodata.RowToAddrOfStructByName[item])
	if err != nil || len(pointers) != 2 || !reflect.DeepEqual(*pointers[1], want[1]) {
		t.Errorf("%v, %v", pointers, err)
	}
	lax, err := picodata.CollectRows(query(t, "SELECT 5 AS i_d"), picodata.RowToStructByNameLax[item])
	if err != nil || len(lax) != 1 || lax[0].ID != 5 {
		t.Errorf("%v, %v", lax, err)
	}
	names, err := picodata.AppendRows([]string{"first"}, query(t, "SELECT 'x' UNION ALL SELECT 'y'"), picodata.RowTo[string])
	if err != nil || !reflect.DeepEqual(names, []string{"first", "x", "y"}) {
		t.Errorf("%v, %v", names, err)
	}
	maps, err := picodata.CollectRows(query(t, items), picodata.RowToMap)
	if err != nil || !reflect.DeepEqual(maps[1], map[string]any{"id": int64(2), "name": "panels", "stock": nil}) {
		t.Errorf("%v, %v", maps, err)
	}
	none, err := picodata.CollectRows(query(t, "SELECT 1 WHERE false"), picodata.RowTo[int])
	if err != nil || none == nil || len(none) != 0 {
		t.Errorf("%#v, %v", none, err)
	}
}

func TestOneRowIsCollected(t *testing.T) {
	if n, err := picodata.CollectOneRow(query(t, "SELECT 5 UNION ALL SELECT 6"), picodata.RowTo[int]); n != 5 || err != nil {
		t.Error(n, err)
	}
	if n, err := picodata.CollectExactlyOneRow(query(t, "SELECT 5"), picodata.RowToAddrOf[int]); err != nil || *n != 5 {
		t.Error(n, err)
	}
	_, err := picodata.CollectOneRow(query(t, "SELECT 1 WHERE false"), picodata.RowTo[int])
	if !errors.Is(err, picodata.ErrNoRows) {
		t.Error(err)
	}
	_, err = picodata.CollectExactlyOneRow(query(t, "SELECT 5 UNION ALL SELECT 6"), picodata.RowTo[int])
	if !errors.Is(err, picodata.ErrTooManyRows) {
		t.Error(err)
	}
}

func TestStructsThatDoNotMatchAreRefused(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 1 AS id, 'x' AS name":                           "no column for the field stock",
		"SELECT 1 AS id, 'x' AS name, 1 AS stock, 1 AS colour":  "no field for the column colour",
		"SELECT 1 AS id, 'x' AS name, 1 AS stock, 1 AS private": "no field for the column private",
	} {
		_, err := picodata.CollectRows(query(t, sql), picodata.RowToStructByName[item])
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	_, err := picodata.CollectRows(query(t, "SELECT 1"), picodata.RowToStructByPos[item])
	if err == nil || !strings.Contains(err.Error(), "1 columns") {
		t.Error(err)
	}
	if _, err := picodata.CollectRows(query(t, "SELECT 1"), picodata.RowToStructByPos[int]); err == nil {
		t.Error("an int is no struct")
	}
}

func TestForEachRowScansIntoTheSamePlaces(t *testing.T) {
	var n, sum int
	tag, err := picodata.ForEachRow(query(t, "SELECT generate_series(1, 100)"), []any{&n}, func() error {
		sum += n
		return nil
	})
	if err != nil || sum != 5050 || tag.String() != "SELECT 100" {
		t.Error(sum, tag, err)
	}
	stop := errors.New("stop")
	if _, err := picodata.ForEachRow(query(t, "SELECT 1"), []any{&n}, func() error { return stop }); err != stop {
		t.Error(err)
	}
}
