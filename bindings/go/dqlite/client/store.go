package client

import (
	"database/sql"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/cluster"
)

// NodeStore is where a client finds the nodes among which it looks for the leader. Several goroutines may call it at once.
type NodeStore = capi.NodeStore

// InmemNodeStore is a list of nodes that ends with the process.
type InmemNodeStore = cluster.MemoryStore

// NewInmemNodeStore creates a store that keeps its nodes in memory.
func NewInmemNodeStore() *InmemNodeStore { return cluster.NewMemoryStore() }

// DatabaseNodeStore is a list of nodes in a table of SQLite.
type DatabaseNodeStore = cluster.DatabaseStore

// YamlNodeStore is a list of nodes in a YAML file.
type YamlNodeStore = cluster.DatabaseStore

// DefaultNodeStore opens the store in the file called filename: the list in a YAML file if the name ends in .yaml or .yml,
// else an SQLite database, in which the table of nodes is made if it is missing. The formats are go-dqlite's.
func DefaultNodeStore(filename string) (NodeStore, error) {
	// A nil *DatabaseNodeStore is no nil NodeStore.
	store, err := cluster.OpenStore(filename)
	if err != nil {
		return nil, err
	}
	return store, nil
}

// NewYamlNodeStore opens the list in the YAML file called path, whose name ends in .yaml or .yml.
func NewYamlNodeStore(path string) (*YamlNodeStore, error) {
	return cluster.OpenYAMLStore(path)
}

type nodeStoreOptions struct {
	where string
}

// NodeStoreOption changes where a store has its nodes.
type NodeStoreOption func(*nodeStoreOptions)

// WithNodeStoreWhereClause sets an expression of SQL: rows for which it is not true are no nodes to the store. It has no
// influence on Set, which replaces all rows.
func WithNodeStoreWhereClause(where string) NodeStoreOption {
	return func(o *nodeStoreOptions) { o.where = where }
}

// NewNodeStore creates a store in a column of a table of a database of the program's own. The column holds addresses; ids
// and roles are not kept.
func NewNodeStore(db *sql.DB, schema, table, column string, options ...NodeStoreOption) *DatabaseNodeStore {
	var o nodeStoreOptions
	for _, option := range options {
		option(&o)
	}
	return cluster.NewTableStore(db, schema, table, column, o.where)
}
