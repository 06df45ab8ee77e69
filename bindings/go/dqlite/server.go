package dqlite

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/cluster"
)

// BootstrapID is the id of the server that begins a cluster.
const BootstrapID = 1

// ErrServerCantBootstrap is what Server.Bootstrap fails with where no cluster can be begun.
var ErrServerCantBootstrap = errors.New("server can't bootstrap")

// How long the server part waits for the cluster where it is given no context.
const clusterTimeout = 10 * time.Second

// State is what a server is in its cluster.
type State int

// The states of servers. Candidate is never reported: it does not show from outside.
const (
	Unavailable State = iota
	Follower
	Candidate
	Leader
)

// WatchFunc is told when the server's state has changed.
type WatchFunc func(old, new State)

type serverOptions struct {
	log   LogFunc
	dial  DialFunc
	watch WatchFunc
}

// ServerOption changes how a server is made.
type ServerOption func(*serverOptions)

// WithServerLogFunc has the server's messages given to a function.
func WithServerLogFunc(log LogFunc) ServerOption {
	return func(o *serverOptions) { o.log = log }
}

// WithServerDialFunc has a function dial for what the server asks of its cluster as a client (Join, Cluster, Leader,
// Dump). Servers dial each other by themselves.
func WithServerDialFunc(dial DialFunc) ServerOption {
	return func(o *serverOptions) { o.dial = dial }
}

// WithServerWatchFunc sets a function that is told when the server gains or loses the leadership. It is looked at twice
// a second, on a goroutine of the server's, which Close waits for: it must not close the server.
func WithServerWatchFunc(watch WatchFunc) ServerOption {
	return func(o *serverOptions) { o.watch = watch }
}

// Server runs a dqlite node, libdqlite's, inside of this process. The library libdqlite.so.0 is opened when it starts
// (Debian's package libdqlite0, or the file that the environment variable QUORATE_LIBDQLITE names).
type Server struct {
	info    ServerInfo
	dir     string
	options serverOptions
	// running is 1 from Start to Close.
	running int32

	mu      sync.Mutex
	node    *capi.RunningNode
	watched chan struct{}
	done    chan struct{}
}

// NewServer makes a server: its id, the address that others reach it by, and the directory of its data.
func NewServer(info ServerInfo, dir string, options ...ServerOption) (*Server, error) {
	if info.ID == 0 {
		return nil, capi.Errorf(capi.KindMisuse, "the id of a server is 0; the first of a cluster has %d", BootstrapID)
	}
	if stat, err := os.Stat(dir); err != nil || !stat.IsDir() {
		return nil, capi.Errorf(capi.KindMisuse, "the directory %q is missing: make it first", dir)
	}
	s := &Server{info: info, dir: dir}
	for _, option := range options {
		option(&s.options)
	}
	return s, nil
}

// Bootstrap the server: it begins a cluster of its own when it starts, and its id has to be BootstrapID. Others join it.
// A server whose directory has data, or that is to begin with others, is refused with ErrServerCantBootstrap.
func (s *Server) Bootstrap(servers []ServerInfo) error {
	if s.info.ID != BootstrapID || len(servers) != 1 || servers[0].ID != s.info.ID ||
		servers[0].Address != s.info.Address {
		return ErrServerCantBootstrap
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return ErrServerCantBootstrap
	}
	return nil
}

// Start the server. It listens on the address of listener, which is closed before: the node opens its socket by itself,
// as all releases of libdqlite since 1.0 do. With a nil listener it listens on the server's own address.
func (s *Server) Start(listener net.Listener) error {
	config, err := capi.NewNodeConfig(s.info.ID, s.info.Address, s.dir)
	if err != nil {
		return err
	}
	if listener != nil {
		address := listener.Addr().String()
		if err := listener.Close(); err != nil {
			return err
		}
		if address != s.info.Address {
			if err := config.Set("bind_address", address); err != nil {
				return err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node != nil {
		return capi.Errorf(capi.KindMisuse, "the server was started before")
	}
	node, err := config.Start()
	if err != nil {
		return err
	}
	s.node = node
	atomic.StoreInt32(&s.running, 1)
	if s.options.watch != nil {
		s.watched, s.done = make(chan struct{}), make(chan struct{})
		go s.watch(s.watched, s.done)
	}
	return nil
}

// watch tells of changes of the leadership until stop is closed.
func (s *Server) watch(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	last := Unavailable
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		state := Follower
		if address, err := s.leader(ctx); err != nil {
			state = Unavailable
		} else if address == s.info.Address {
			state = Leader
		}
		cancel()
		if state != last {
			s.options.watch(last, state)
			last = state
		}
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}

// cluster is a client that begins with the server itself, or with those of store.
func (s *Server) cluster(store ServerStore, dial DialFunc) (*capi.Cluster, error) {
	if atomic.LoadInt32(&s.running) == 0 {
		return nil, capi.Errorf(capi.KindMisuse, "the server is not running")
	}
	if store == nil {
		own := NewInmemServerStore()
		_ = own.Set(context.Background(), []ServerInfo{s.info})
		store = own
	}
	if dial == nil {
		dial = s.options.dial
	}
	return newCluster(store, dial, s.options.log)
}

func newCluster(store ServerStore, dial DialFunc, log LogFunc) (*capi.Cluster, error) {
	native, err := cluster.Native(store)
	if err != nil {
		return nil, err
	}
	options := cluster.Options{Dial: dial}
	if log != nil {
		options.Log = cluster.LogTo(log)
	}
	return cluster.NewClient(native, options)
}

// Join makes the server a voter of the cluster whose servers are in store. It has to be started.
func (s *Server) Join(ctx context.Context, store ServerStore, dial DialFunc) error {
	cluster, err := s.cluster(store, dial)
	if err != nil {
		return err
	}
	if err := cluster.Add(ctx, s.info.ID, s.info.Address); err != nil {
		return err
	}
	return cluster.Assign(ctx, s.info.ID, Voter)
}

// Leave removes the server id from the cluster whose servers are in store.
func Leave(ctx context.Context, id uint64, store ServerStore, dial DialFunc) error {
	cluster, err := newCluster(store, dial, nil)
	if err != nil {
		return err
	}
	return cluster.Remove(ctx, id)
}

func (s *Server) leader(ctx context.Context) (string, error) {
	cluster, err := s.cluster(nil, nil)
	if err != nil {
		return "", err
	}
	return cluster.Leader(ctx)
}

// Leader tells who leads; nil if nobody does.
func (s *Server) Leader() *ServerInfo {
	ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
	defer cancel()
	cluster, err := s.cluster(nil, nil)
	if err != nil {
		return nil
	}
	address, err := cluster.Leader(ctx)
	if err != nil {
		return nil
	}
	leader := &ServerInfo{Address: address}
	if servers, err := cluster.Nodes(ctx); err == nil {
		for _, server := range servers {
			if server.Address == address {
				*leader = server
			}
		}
	}
	return leader
}

// Cluster lists the servers, as the leader has them.
func (s *Server) Cluster() ([]ServerInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
	defer cancel()
	cluster, err := s.cluster(nil, nil)
	if err != nil {
		return nil, err
	}
	return cluster.Nodes(ctx)
}

// Dump writes the files of the database called name into the directory dir, as the leader has them.
func (s *Server) Dump(name string, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
	defer cancel()
	cluster, err := s.cluster(nil, nil)
	if err != nil {
		return err
	}
	files, err := cluster.Dump(ctx, name)
	if err != nil {
		return err
	}
	for _, file := range files {
		if strings.ContainsRune(file.Name, filepath.Separator) {
			return capi.Errorf(capi.KindProtocol, "a file of the dump is called %q, which leads elsewhere", file.Name)
		}
		if err := os.WriteFile(filepath.Join(dir, file.Name), file.Data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Close the server: it stops, and its data is on disk when this returns. It may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched != nil {
		close(s.watched)
		<-s.done
		s.watched = nil
	}
	atomic.StoreInt32(&s.running, 0)
	if s.node == nil {
		return nil
	}
	return s.node.Stop()
}
