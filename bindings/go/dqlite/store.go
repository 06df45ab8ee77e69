package dqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// ServerStore is where the driver finds the addresses of the servers among which it looks for the leader. The driver
// updates it with the servers of the cluster, as the leader lists them.
//
// Several goroutines may call it at once, and it must not use a database of the driver. The context that it is given has
// no deadline.
type ServerStore = capi.NodeStore

// InmemServerStore keeps the list of servers in memory.
type InmemServerStore struct {
	mu      sync.RWMutex
	servers []ServerInfo
}

var _ ServerStore = (*InmemServerStore)(nil)

// NewInmemServerStore creates a store that keeps its servers in memory.
func NewInmemServerStore() *InmemServerStore { return &InmemServerStore{} }

// Get the current servers.
func (i *InmemServerStore) Get(context.Context) ([]ServerInfo, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return append([]ServerInfo(nil), i.servers...), nil
}

// Set the servers.
func (i *InmemServerStore) Set(_ context.Context, servers []ServerInfo) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.servers = append([]ServerInfo(nil), servers...)
	return nil
}

// DatabaseServerStore persists a list of addresses of dqlite servers in a SQL table, or in a YAML file.
type DatabaseServerStore struct {
	native *capi.Store
	custom ServerStore
}

var _ ServerStore = (*DatabaseServerStore)(nil)

// DefaultServerStore opens the SQLite database in the file called filename, and makes the table of servers in it if it
// is missing. Other programs may use the file at the same time, those of go-dqlite included.
func DefaultServerStore(filename string) (*DatabaseServerStore, error) {
	native, err := capi.OpenStore(filename)
	if err != nil {
		return nil, err
	}
	return &DatabaseServerStore{native: native}, nil
}

// NewYamlServerStore opens the list in the YAML file called filename, in the format of go-dqlite.
func NewYamlServerStore(filename string) (*DatabaseServerStore, error) {
	if !strings.HasSuffix(filename, ".yaml") && !strings.HasSuffix(filename, ".yml") {
		return nil, fmt.Errorf("the name of the file is %q; it has to end in .yaml", filename)
	}
	return DefaultServerStore(filename)
}

// NewServerStore creates a store in a column of a table of a database of the program's own. The column holds addresses;
// ids and roles are not kept.
func NewServerStore(db *sql.DB, schema, table, column string) *DatabaseServerStore {
	return &DatabaseServerStore{custom: &tableStore{db, schema, table, column}}
}

// Get the current servers.
func (d *DatabaseServerStore) Get(ctx context.Context) ([]ServerInfo, error) {
	if d.custom != nil {
		return d.custom.Get(ctx)
	}
	return d.native.Get()
}

// Set the servers addresses.
func (d *DatabaseServerStore) Set(ctx context.Context, servers []ServerInfo) error {
	if d.custom != nil {
		return d.custom.Set(ctx, servers)
	}
	return d.native.Set(servers)
}

// tableStore is a column of a table.
type tableStore struct {
	db                    *sql.DB
	schema, table, column string
}

func quoted(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func (t *tableStore) place() string { return quoted(t.schema) + "." + quoted(t.table) }

func (t *tableStore) Get(ctx context.Context) ([]ServerInfo, error) {
	rows, err := t.db.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s", quoted(t.column), t.place()))
	if err != nil {
		return nil, fmt.Errorf("reading the servers: %w", err)
	}
	defer rows.Close()
	var servers []ServerInfo
	for rows.Next() {
		var server ServerInfo
		if err := rows.Scan(&server.Address); err != nil {
			return nil, fmt.Errorf("reading the servers: %w", err)
		}
		servers = append(servers, server)
	}
	return servers, rows.Err()
}

func (t *tableStore) Set(ctx context.Context, servers []ServerInfo) error {
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

// nativeStore is the library's own store where there is one beneath, and else one that calls back.
func nativeStore(store ServerStore) (*capi.Store, error) {
	if own, ok := store.(*DatabaseServerStore); ok && own.native != nil {
		return own.native, nil
	}
	if store == nil {
		return nil, capi.Errorf(capi.KindMisuse, "the store of servers is nil")
	}
	return capi.CustomStore(store)
}
