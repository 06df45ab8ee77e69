package picodata

import (
	"strconv"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/picodata/logger"
	"github.com/quorate/quorate/bindings/go/picodata/strategies"
)

// PoolOption changes how a pool is made.
type PoolOption func(*poolOpts) error

type poolOpts struct {
	strategy strategies.BalanceStrategy
	logger   logger.Logger
	level    *logger.LogLevel
	options  map[string]string
}

// WithBalanceStrategy says which instance a call goes to. Without it, the instances take turns, or do what the option
// `balance` of the connection string says.
func WithBalanceStrategy(strategy strategies.BalanceStrategy) PoolOption {
	return func(o *poolOpts) error {
		if strategy == nil {
			return capi.Errorf(capi.KindConfig, "the balance strategy is nil")
		}
		o.strategy = strategy
		return nil
	}
}

// WithLogger says where this pool's messages go. Without it they are written by logger.New.
func WithLogger(customLogger logger.Logger) PoolOption {
	return func(o *poolOpts) error {
		if customLogger == nil {
			return capi.Errorf(capi.KindConfig, "the logger is nil")
		}
		o.logger = customLogger
		return nil
	}
}

// WithLogLevel says which messages of this pool are wanted. It is told to the pool's logger, whichever order the options
// are in.
func WithLogLevel(level logger.LogLevel) PoolOption {
	return func(o *poolOpts) error {
		if _, err := level.String(); err != nil {
			return capi.Errorf(capi.KindConfig, "there is no log level %d", int(level))
		}
		o.level = &level
		return nil
	}
}

// WithDisableTopologyManaging leaves the pool with the instances that the connection string names: nobody asks the cluster
// for others, or which are online.
func WithDisableTopologyManaging() PoolOption {
	return func(o *poolOpts) error {
		o.options["topology"] = "off"
		return nil
	}
}

// WithMaxConnPerInstance says how many connections there may be to one instance, in place of the configuration's MaxConns.
func WithMaxConnPerInstance(maxConns int32) PoolOption {
	return func(o *poolOpts) error {
		if maxConns < 1 {
			return capi.Errorf(capi.KindConfig, "%d connections per instance are none", maxConns)
		}
		o.options["pool_max_conns"] = strconv.FormatInt(int64(maxConns), 10)
		return nil
	}
}

// WithServiceConnString names, by a connection string, the instance that is asked which instances there are. Without it
// any instance of the pool is.
func WithServiceConnString(addr string) PoolOption {
	return func(o *poolOpts) error {
		o.options["service_url"] = addr
		return nil
	}
}

// apply puts the options into a configuration of the library.
func apply(opts []PoolOption, config *capi.Config) error {
	o := poolOpts{logger: logger.New(), options: map[string]string{}}
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return err
		}
	}
	for name, value := range o.options {
		if err := config.Set(name, value); err != nil {
			return err
		}
	}
	if err := applyLogger(&o, config); err != nil {
		return err
	}
	return applyStrategy(o.strategy, config)
}

func applyLogger(o *poolOpts, config *capi.Config) error {
	least := logger.LevelDebug
	if o.level != nil {
		least = *o.level
		if err := o.logger.SetLevel(least); err != nil {
			return err
		}
	}
	return config.SetLog(func(level int, message string) {
		// The library's levels are the logger's. A message that nobody wants is not formatted.
		if level := logger.LogLevel(level); level <= least {
			o.logger.Log(level, "%s", message)
		}
	})
}

func applyStrategy(strategy strategies.BalanceStrategy, config *capi.Config) error {
	switch strategy := strategy.(type) {
	case nil:
		return nil
	// The library has these itself, and needs no call into Go.
	case strategies.RoundRobin:
		return config.Set("balance", "round_robin")
	case strategies.Random:
		return config.Set("balance", "random")
	case strategies.LeastBusy:
		return config.Set("balance", "least_busy")
	case strategies.LowestLatency:
		return config.Set("balance", "lowest_latency")
	case strategies.Chooser:
		return config.SetBalance(strategy.Choose)
	default:
		current := new(uint64)
		return config.SetBalance(func(candidates []strategies.Candidate) int {
			return int(strategy.Next(current, uint64(len(candidates))))
		})
	}
}
