// A first program for Picodata:
//
//	go run ./picodata postgres://admin:T0psecret@127.0.0.1:4327
//
// It reads a table that is there; what an error says of a write is in the program for dqlite:
//
//	CREATE TABLE items (id INTEGER NOT NULL, name TEXT NOT NULL, stock INTEGER, PRIMARY KEY (id))
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/picodata/logger"
)

type item struct {
	ID    int
	Name  string
	Stock *int // may be NULL
}

func main() {
	log.SetFlags(0)
	url := "postgres://admin:T0psecret@127.0.0.1:4327"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	if err := run(url); err != nil {
		log.Fatal(err)
	}
}

func run(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	pool, err := picodata.New(ctx, url, picodata.WithLogLevel(logger.LevelWarn))
	if err != nil {
		return err
	}
	defer pool.Close()

	rows, err := pool.Query(ctx, "SELECT id, name, stock FROM items WHERE id <= $1 ORDER BY id", 2)
	if err != nil {
		return err
	}
	items, err := picodata.CollectRows(rows, picodata.RowToStructByName[item])
	if err != nil {
		return err
	}
	for _, item := range items {
		if item.Stock == nil {
			fmt.Println(item.ID, item.Name, "is not counted")
		} else {
			fmt.Println(item.ID, item.Name, *item.Stock)
		}
	}
	return nil
}
