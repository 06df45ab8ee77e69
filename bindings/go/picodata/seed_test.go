package picodata_test

import (
	"context"

	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/picodata/logger"
	"github.com/quorate/quorate/bindings/go/picodata/strategies"
)

// Every exported name of picodata-go's documentation is here, with the types of pgx in this package: that this compiles is
// the test.
var (
	_ func(string) (*picodata.Config, error)                                                  = picodata.ParseConfig
	_ func(context.Context, string, ...picodata.PoolOption) (*picodata.Pool, error)           = picodata.New
	_ func(context.Context, *picodata.Config, ...picodata.PoolOption) (*picodata.Pool, error) = picodata.NewWithConfig
	_ func(*picodata.Pool)                                                                    = (*picodata.Pool).Close
	_ func(*picodata.Pool) *picodata.Config                                                   = (*picodata.Pool).Config
	_ func(*picodata.Pool, context.Context, string, ...any) (picodata.CommandTag, error)      = (*picodata.Pool).Exec
	_ func(*picodata.Pool, context.Context) error                                             = (*picodata.Pool).Ping
	_ func(*picodata.Pool, context.Context, string, ...any) (picodata.Rows, error)            = (*picodata.Pool).Query
	_ func(*picodata.Pool, context.Context, string, ...any) picodata.Row                      = (*picodata.Pool).QueryRow
	_ func(*picodata.Pool)                                                                    = (*picodata.Pool).Reset
	_ func(*picodata.Pool, context.Context, *picodata.Batch) picodata.BatchResults            = (*picodata.Pool).SendBatch
	_ func(strategies.BalanceStrategy) picodata.PoolOption                                    = picodata.WithBalanceStrategy
	_ func() picodata.PoolOption                                                              = picodata.WithDisableTopologyManaging
	_ func(logger.LogLevel) picodata.PoolOption                                               = picodata.WithLogLevel
	_ func(logger.Logger) picodata.PoolOption                                                 = picodata.WithLogger
	_ func(int32) picodata.PoolOption                                                         = picodata.WithMaxConnPerInstance
	_ func(string) picodata.PoolOption                                                        = picodata.WithServiceConnString
)

// pgxRows is the method set of pgx.Rows, whose Conn answers a *pgx.Conn there.
type pgxRows interface {
	Close()
	Err() error
	CommandTag() picodata.CommandTag
	FieldDescriptions() []picodata.FieldDescription
	Next() bool
	Scan(dest ...any) error
	Values() ([]any, error)
	RawValues() [][]byte
	Conn() *picodata.Conn
}

var _ pgxRows = picodata.Rows(nil)
