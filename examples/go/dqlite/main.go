// A first program for dqlite, with database/sql:
//
//	go run ./dqlite dqlite://127.0.0.1:9001/app
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/quorate/quorate/bindings/go/quorate"
)

func main() {
	log.SetFlags(0)
	url := "dqlite://127.0.0.1:9001/app"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	if err := run(url); err != nil {
		// Only what is unknown may have been applied; everything else may be sent again.
		var failure *quorate.Error
		if errors.As(err, &failure) {
			log.Fatalf("%v (%v)", err, failure.Outcome)
		}
		log.Fatal(err)
	}
}

func run(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	db, err := sql.Open("quorate", url)
	if err != nil {
		return err
	}
	defer db.Close()

	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT)"); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, name := range []string{"brick", "panel"} {
		if _, err := tx.ExecContext(ctx, "INSERT INTO item (name) VALUES (?)", name); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}

	rows, err := db.QueryContext(ctx, "SELECT id, name FROM item ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		fmt.Println(id, name)
	}
	return rows.Err()
}
