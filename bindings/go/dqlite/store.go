package dqlite

import (
	"database/sql"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/cluster"
)

// ServerStore is where the driver finds the addresses of the servers among which it looks for the leader. The driver
// updates it with the servers of the cluster, as the leader lists them.
//
// Several goroutines may call it at once, and it must not use a database of the driver. The context that it is given has
// no deadline.
type ServerStore = capi.NodeStore

// InmemServerStore is a list of servers that ends with the process.
type InmemServerStore = cluster.MemoryStore

// NewInmemServerStore creates a store that keeps its servers in memory.
func NewInmemServerStore() *InmemServerStore { return cluster.NewMemoryStore() }

// DatabaseServerStore is a list of servers that outlives the process: a table of SQLite, or a YAML file.
type DatabaseServerStore = cluster.DatabaseStore

// DefaultServerStore opens the SQLite database in the file called filename, and makes the table of servers in it if it
// is missing. Other programs may use the file at the same time, those of go-dqlite included.
func DefaultServerStore(filename string) (*DatabaseServerStore, error) {
	return cluster.OpenStore(filename)
}

// NewYamlServerStore opens the list in the YAML file called filename, in the format of go-dqlite.
func NewYamlServerStore(filename string) (*DatabaseServerStore, error) {
	return cluster.OpenYAMLStore(filename)
}

// NewServerStore creates a store in a column of a table of a database of the program's own. The column holds addresses;
// ids and roles are not kept.
func NewServerStore(db *sql.DB, schema, table, column string) *DatabaseServerStore {
	return cluster.NewTableStore(db, schema, table, column, "")
}
