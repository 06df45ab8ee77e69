package picodata

import (
	"fmt"
	"reflect"
	"strings"
)

// CollectableRow is a row that a RowToFunc reads.
type CollectableRow interface {
	FieldDescriptions() []FieldDescription
	Scan(dest ...any) error
	Values() ([]any, error)
}

// RowToFunc makes a T of a row.
type RowToFunc[T any] func(row CollectableRow) (T, error)

// AppendRows appends what fn makes of each row to slice. The rows are closed.
func AppendRows[T any, S ~[]T](slice S, rows Rows, fn RowToFunc[T]) (S, error) {
	defer rows.Close()
	for rows.Next() {
		item, err := fn(rows)
		if err != nil {
			return nil, err
		}
		slice = append(slice, item)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return slice, nil
}

// CollectRows is what fn makes of each row; an empty slice, not nil, where there is none. The rows are closed.
func CollectRows[T any](rows Rows, fn RowToFunc[T]) ([]T, error) {
	return AppendRows([]T{}, rows, fn)
}

// CollectOneRow is what fn makes of the first row; ErrNoRows where there is none. The rows are closed.
func CollectOneRow[T any](rows Rows, fn RowToFunc[T]) (T, error) {
	return collectOne(rows, fn, false)
}

// CollectExactlyOneRow is what fn makes of the only row; ErrNoRows where there is none, ErrTooManyRows where there are more.
// The rows are closed.
func CollectExactlyOneRow[T any](rows Rows, fn RowToFunc[T]) (T, error) {
	return collectOne(rows, fn, true)
}

func collectOne[T any](rows Rows, fn RowToFunc[T], exactly bool) (item T, err error) {
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return item, err
		}
		return item, ErrNoRows
	}
	if item, err = fn(rows); err != nil {
		return item, err
	}
	if exactly && rows.Next() {
		return item, ErrTooManyRows
	}
	rows.Close()
	return item, rows.Err()
}

// ForEachRow scans each row into scans, and calls fn behind each. The rows are closed.
func ForEachRow(rows Rows, scans []any, fn func() error) (CommandTag, error) {
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(scans...); err != nil {
			return CommandTag{}, err
		}
		if err := fn(); err != nil {
			return CommandTag{}, err
		}
	}
	if err := rows.Err(); err != nil {
		return CommandTag{}, err
	}
	return rows.CommandTag(), nil
}

// RowTo is the single column of a row.
func RowTo[T any](row CollectableRow) (T, error) {
	var item T
	err := row.Scan(&item)
	return item, err
}

// RowToAddrOf is the address of the single column of a row.
func RowToAddrOf[T any](row CollectableRow) (*T, error) { return address(row, RowTo[T]) }

// RowToMap is a row as a map from the columns' names.
func RowToMap(row CollectableRow) (map[string]any, error) {
	values, err := row.Values()
	if err != nil {
		return nil, err
	}
	named := make(map[string]any, len(values))
	for i, field := range row.FieldDescriptions() {
		named[field.Name] = values[i]
	}
	return named, nil
}

// RowToStructByPos is a row as a struct: the columns go into its exported fields in turn, those of embedded structs
// included, those with the tag `db:"-"` left out. There have to be as many columns as fields.
func RowToStructByPos[T any](row CollectableRow) (T, error) {
	var item T
	fields, err := fieldsOf(&item)
	if err != nil {
		return item, err
	}
	if columns := len(row.FieldDescriptions()); columns != len(fields) {
		return item, fmt.Errorf("picodata: there are %d columns, and %T has %d fields", columns, item, len(fields))
	}
	dest := make([]any, len(fields))
	for i := range fields {
		dest[i] = fields[i].target
	}
	err = row.Scan(dest...)
	return item, err
}

// RowToAddrOfStructByPos is the address of a struct that RowToStructByPos makes.
func RowToAddrOfStructByPos[T any](row CollectableRow) (*T, error) {
	return address(row, RowToStructByPos[T])
}

// RowToStructByName is a row as a struct: each column goes into the exported field that has its name, or whose tag
// `db:"name"` has it, whatever the case and without underscores. There has to be a field for each column, and a column for
// each field.
func RowToStructByName[T any](row CollectableRow) (T, error) { return byName[T](row, false) }

// RowToAddrOfStructByName is the address of a struct that RowToStructByName makes.
func RowToAddrOfStructByName[T any](row CollectableRow) (*T, error) {
	return address(row, RowToStructByName[T])
}

// RowToStructByNameLax is RowToStructByName, but for fields that may go without a column.
func RowToStructByNameLax[T any](row CollectableRow) (T, error) { return byName[T](row, true) }

// RowToAddrOfStructByNameLax is the address of a struct that RowToStructByNameLax makes.
func RowToAddrOfStructByNameLax[T any](row CollectableRow) (*T, error) {
	return address(row, RowToStructByNameLax[T])
}

func address[T any](row CollectableRow, fn RowToFunc[T]) (*T, error) {
	item, err := fn(row)
	if err != nil {
		return nil, err
	}
	return &item, nil
}

func byName[T any](row CollectableRow, lax bool) (T, error) {
	var item T
	fields, err := fieldsOf(&item)
	if err != nil {
		return item, err
	}
	columns := row.FieldDescriptions()
	dest := make([]any, len(columns))
	for i, column := range columns {
		for j := range fields {
			if !fields[j].taken && fields[j].named(column.Name) {
				fields[j].taken = true
				dest[i] = fields[j].target
				break
			}
		}
		if dest[i] == nil {
			return item, fmt.Errorf("picodata: %T has no field for the column %s", item, column.Name)
		}
	}
	for _, field := range fields {
		if !lax && !field.taken {
			return item, fmt.Errorf("picodata: there is no column for the field %s of %T", field.name, item)
		}
	}
	err = row.Scan(dest...)
	return item, err
}

// field is a place in a struct that a column may go to.
type field struct {
	name   string
	tagged bool
	target any
	taken  bool
}

func (f *field) named(column string) bool {
	if f.tagged {
		return strings.EqualFold(f.name, column)
	}
	plain := func(name string) string { return strings.ReplaceAll(name, "_", "") }
	return strings.EqualFold(plain(f.name), plain(column))
}

// fieldsOf are the fields of the struct at pointer.
func fieldsOf(pointer any) ([]field, error) {
	target := reflect.ValueOf(pointer).Elem()
	if target.Kind() != reflect.Struct {
		return nil, fmt.Errorf("picodata: %v is no struct", target.Type())
	}
	return appendFields(nil, target), nil
}

func appendFields(fields []field, target reflect.Value) []field {
	for i := 0; i < target.NumField(); i++ {
		described := target.Type().Field(i)
		tag, tagged := described.Tag.Lookup("db")
		name := strings.Split(tag, ",")[0]
		switch {
		case name == "-":
		case described.Anonymous && described.Type.Kind() == reflect.Struct && !tagged:
			fields = appendFields(fields, target.Field(i))
		case described.IsExported():
			if !tagged || name == "" {
				name, tagged = described.Name, false
			}
			fields = append(fields, field{name: name, tagged: tagged, target: target.Field(i).Addr().Interface()})
		}
	}
	return fields
}
