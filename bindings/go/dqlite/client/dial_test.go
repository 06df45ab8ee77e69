package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/dqlite/client"
	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	_ "github.com/quorate/quorate/bindings/go/quorate"
)

// certificate is one for a host, signed by itself.
func certificate(t testing.TB, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(host)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// proxyTo speaks TLS to its clients and gives what they say to the node at address.
func proxyTo(t testing.TB, address string, own tls.Certificate) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{own}})
	must(t, err)
	t.Cleanup(func() { must(t, listener.Close()) })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				to, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(to, from)
					_ = to.Close()
				}()
				_, _ = io.Copy(from, to)
			}()
		}
	}()
	return listener.Addr().String()
}

func TestNodesBehindTLS(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	hosts := addresses(cluster.URL)
	host, _, err := net.SplitHostPort(hosts[0])
	must(t, err)
	own, trusted := certificate(t, host)
	proxies := make(map[string]string)
	for _, address := range hosts {
		proxies[address] = proxyTo(t, address, own)
	}
	toProxy := func(ctx context.Context, address string) (net.Conn, error) {
		return client.DefaultDialFunc(ctx, proxies[address])
	}
	var messages int32
	c, err := client.FindLeader(ctx, storeOf(t, hosts...), client.WithConcurrentLeaderConns(2),
		client.WithDialFunc(client.DialFuncWithTLS(toProxy, &tls.Config{RootCAs: trusted})),
		client.WithLogFunc(func(client.LogLevel, string, ...interface{}) { atomic.AddInt32(&messages, 1) }))
	must(t, err)
	defer c.Close()
	nodes, err := c.Cluster(ctx)
	must(t, err)
	if len(nodes) != 3 || atomic.LoadInt32(&messages) == 0 {
		t.Error(nodes, messages)
	}

	// Nobody vouches for them.
	_, err = client.New(ctx, hosts[0],
		client.WithDialFunc(client.DialFuncWithTLS(toProxy, &tls.Config{RootCAs: x509.NewCertPool()})))
	if err := failure(t, err); !strings.Contains(err.Error(), "rotocol error") {
		t.Error(err)
	}
}

func TestAClauseChoosesTheNodes(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	db, err := sql.Open("quorate", cluster.URL)
	must(t, err)
	defer db.Close()
	_, err = db.Exec("CREATE TABLE nodes (address TEXT, usable INTEGER)")
	must(t, err)
	_, err = db.Exec("INSERT INTO nodes VALUES (?, 1), ('127.0.0.1:1', 0)", addresses(cluster.URL)[0])
	must(t, err)
	all := client.NewNodeStore(db, "main", "nodes", "address")
	some := client.NewNodeStore(db, "main", "nodes", "address", client.WithNodeStoreWhereClause("usable = 1"))
	for store, count := range map[*client.DatabaseNodeStore]int{all: 2, some: 1} {
		nodes, err := store.Get(ctx)
		must(t, err)
		if len(nodes) != count {
			t.Error(nodes)
		}
	}
	c, err := client.FindLeader(ctx, some)
	must(t, err)
	must(t, c.Close())

	if store, err := client.DefaultNodeStore("/nowhere/nodes.db"); err == nil || store != nil {
		t.Error(store, err)
	}
}
