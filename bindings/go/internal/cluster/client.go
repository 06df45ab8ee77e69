package cluster

import (
	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// Options are what a client is made with; what is nil or empty is as the library has it.
type Options struct {
	Dial capi.DialFunc
	Log  func(level int, message string)
	// Values are options of the library, by their names.
	Values [][2]string
}

// NewClient makes a client of the cluster whose nodes store knows. Nothing is dialled.
func NewClient(store *capi.Store, options Options) (*capi.Cluster, error) {
	// The host stands for the store.
	config, err := capi.NewConfig("dqlite://store:1/cluster")
	if err != nil {
		return nil, err
	}
	for _, option := range options.Values {
		if err := config.Set(option[0], option[1]); err != nil {
			return nil, err
		}
	}
	if options.Dial != nil {
		if err := config.SetDial(options.Dial); err != nil {
			return nil, err
		}
	}
	if options.Log != nil {
		if err := config.SetLog(options.Log); err != nil {
			return nil, err
		}
	}
	if err := config.SetStore(store); err != nil {
		return nil, err
	}
	return capi.NewCluster(config)
}
