// Package cluster is what the packages for dqlite share: stores of nodes, and clients that administer a cluster.
package cluster

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// MemoryStore keeps nodes in memory.
type MemoryStore struct {
	mu      sync.RWMutex
	servers []capi.Node
}

var _ capi.NodeStore = (*MemoryStore)(nil)

// NewMemoryStore creates a store that keeps its nodes in memory.
func NewMemoryStore() *MemoryStore { return &MemoryStore{} }

// Get the current servers.
func (i *MemoryStore) Get(context.Context) ([]capi.Node, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return append([]capi.Node(nil), i.servers...), nil
}

// Set the servers.
func (i *MemoryStore) Set(_ context.Context, servers []capi.Node) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.servers = append([]capi.Node(nil), servers...)
	return nil
}

// DatabaseStore persists a list of nodes in a SQL table, or in a YAML file.
type DatabaseStore struct {
	native *capi.Store
	custom capi.NodeStore
}

var _ capi.NodeStore = (*DatabaseStore)(nil)

// OpenStore opens the SQLite database in the file called filename, and makes the table of servers in it if it is missing; or
// the list in a YAML file.
func OpenStore(filename string) (*DatabaseStore, error) {
	native, err := capi.OpenStore(filename)
	if err != nil {
		return nil, err
	}
	return &DatabaseStore{native: native}, nil
}

// OpenYAMLStore opens the list in the YAML file called filename.
func OpenYAMLStore(filename string) (*DatabaseStore, error) {
	if !strings.HasSuffix(filename, ".yaml") && !strings.HasSuffix(filename, ".yml") {
		return nil, fmt.Errorf("the name of the file is %q; it has to end in .yaml", filename)
	}
	return OpenStore(filename)
}

// NewTableStore creates a store in a column of a table of a database of the program's own. Rows for which where, an
// expression of SQL, is not true are not read; all are where it is empty.
func NewTableStore(db *sql.DB, schema, table, column, where string) *DatabaseStore {
	return &DatabaseStore{custom: &tableStore{db, schema, table, column, where}}
}

// Get the current servers.
func (d *DatabaseStore) Get(ctx context.Context) ([]capi.Node, error) {
	if d.custom != nil {
		return d.custom.Get(ctx)
	}
	return d.native.Get()
}

// Set the servers addresses.
func (d *DatabaseStore) Set(ctx context.Context, servers []capi.Node) error {
	if d.custom != nil {
		return d.custom.Set(ctx, servers)
	}
	return d.native.Set(servers)
}

// tableStore is a column of a table.
type tableStore struct {
	db                    *sql.DB
	schema, table, column string
	where                 string
}

func quoted(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func (t *tableStore) place() string { return quoted(t.schema) + "." + quoted(t.table) }

func (t *tableStore) Get(ctx context.Context) ([]capi.Node, error) {
	query := fmt.Sprintf("SELECT %s FROM %s", quoted(t.column), t.place())
	if t.where != "" {
		query += " WHERE " + t.where
	}
	rows, err := t.db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("reading the servers: %w", err)
	}
	defer rows.Close()
	var servers []capi.Node
	for rows.Next() {
		var server capi.Node
		if err := rows.Scan(&server.Address); err != nil {
			return nil, fmt.Errorf("reading the servers: %w", err)
		}
		servers = append(servers, server)
	}
	return servers, rows.Err()
}

func (t *tableStore) Set(ctx context.Context, servers []capi.Node) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("storing the servers: %w", err)
	}
	// Does nothing once it was committed.
	defer tx.Rollback() //nolint:errcheck
	if _, err := tx.ExecContext(ctx, "DELETE FROM "+t.place()); err != nil {
		return fmt.Errorf("storing the servers: %w", err)
	}
	insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (?)", t.place(), quoted(t.column))
	for _, server := range servers {
		if _, err := tx.ExecContext(ctx, insert, server.Address); err != nil {
			return fmt.Errorf("storing the servers: %w", err)
		}
	}
	return tx.Commit()
}

// Native is the library's own store where there is one beneath, and else one that calls back.
func Native(store capi.NodeStore) (*capi.Store, error) {
	if own, ok := store.(*DatabaseStore); ok && own.native != nil {
		return own.native, nil
	}
	if store == nil {
		return nil, capi.Errorf(capi.KindMisuse, "the store of servers is nil")
	}
	return capi.CustomStore(store)
}
