package picodata

import (
	"context"
	"database/sql"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/scan"
	"github.com/quorate/quorate/bindings/go/internal/value"
)

// place is what statements run on: a pool, or a connection that was taken out of one.
type place struct {
	on interface {
		Exec(ctx context.Context, sql string, args []value.Value) (capi.Result, error)
		Query(ctx context.Context, sql string, args []value.Value) (*capi.Rows, error)
		SendBatch(ctx context.Context, statements []capi.Statement) (*capi.Results, error)
	}
	// conn is the connection; nil for a pool.
	conn *Conn
}

func execOn(ctx context.Context, at place, sql string, args []any) (CommandTag, error) {
	params, err := toValues(args)
	if err != nil {
		return CommandTag{}, err
	}
	if readsRows(sql) {
		native, err := at.on.Query(ctx, sql, params)
		if err != nil {
			return CommandTag{}, err
		}
		return counted(newRows(native, sql, at.conn))
	}
	result, err := at.on.Exec(ctx, sql, params)
	if err != nil {
		return CommandTag{}, err
	}
	return newTag(sql, int64(result.RowsAffected)), nil
}

func queryOn(ctx context.Context, at place, sql string, args []any) (Rows, error) {
	params, err := toValues(args)
	if err != nil {
		return failedRows(err, at.conn), err
	}
	native, err := at.on.Query(ctx, sql, params)
	if err != nil {
		return failedRows(err, at.conn), err
	}
	return newRows(native, sql, at.conn), nil
}

func queryRowOn(ctx context.Context, at place, sql string, args []any) Row {
	rows, _ := queryOn(ctx, at, sql, args)
	return row{rows}
}

func sendBatchOn(ctx context.Context, at place, b *Batch) BatchResults {
	results := &batchResults{batch: b, conn: at.conn}
	statements := make([]capi.Statement, len(b.QueuedQueries))
	for i, query := range b.QueuedQueries {
		params, err := toValues(query.Arguments)
		if err != nil {
			results.err, results.closed = err, true
			return results
		}
		statements[i] = capi.Statement{SQL: query.SQL, Args: params}
	}
	native, err := at.on.SendBatch(ctx, statements)
	results.native, results.err, results.closed = native, err, err != nil
	return results
}

func toValues(args []any) ([]value.Value, error) {
	if len(args) == 0 {
		return nil, nil
	}
	values := make([]value.Value, len(args))
	for i, arg := range args {
		v, err := scan.FromGo(arg)
		if err != nil {
			return nil, &ParameterError{Number: i + 1, Err: err}
		}
		values[i] = v
	}
	return values, nil
}

// toNamedValues is the same for values that may have names.
func toNamedValues(args []any) ([]value.Value, error) {
	plain, names := make([]any, len(args)), make([]string, len(args))
	for i, arg := range args {
		if named, ok := arg.(sql.NamedArg); ok {
			plain[i], names[i] = named.Value, named.Name
		} else {
			plain[i] = arg
		}
	}
	values, err := toValues(plain)
	for i := range values {
		values[i].Name = names[i]
	}
	return values, err
}
