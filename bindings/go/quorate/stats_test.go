package quorate_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/quorate"
)

func TestAConnectorTellsTheFiguresOfEachNode(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	connector, err := quorate.NewConnector(cluster.URL)
	must(t, err)
	if stats := connector.EndpointStats(); stats != nil {
		t.Errorf("%+v", stats)
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(context.Background())
	must(t, err)
	leader := cluster.Order(t, "address "+cluster.Order(t, "leader"))
	var used uint32
	for _, one := range connector.EndpointStats() {
		used += one.InUse
		if one.InUse != 0 && one.Address != leader || one.Connections != one.Idle+one.InUse || one.LeftOut {
			t.Errorf("%+v", one)
		}
	}
	if used != 1 {
		t.Errorf("%d connections are in use", used)
	}
	must(t, conn.Close())
	must(t, db.Close())
	if stats := connector.EndpointStats(); len(stats) != 0 {
		t.Errorf("%+v", stats)
	}
}
