package picodata_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/picodata/logger"
	"github.com/quorate/quorate/bindings/go/picodata/strategies"
)

const whoAnswers = "SELECT inet_server_port()"

// ports counts the instances that answer so many calls.
func ports(t *testing.T, pool *picodata.Pool, calls int) map[int]int {
	t.Helper()
	found := map[int]int{}
	for i := 0; i < calls; i++ {
		found[one[int](t, pool, whoAnswers)]++
	}
	return found
}

func TestTheStrategiesSpreadCallsOverAllInstances(t *testing.T) {
	for _, strategy := range []strategies.BalanceStrategy{strategies.NewRoundRobinStrategy(), strategies.NewRandomStrategy()} {
		// One address is enough: the others are learned.
		pool := open(t, instances(shared.URL)[1], picodata.WithBalanceStrategy(strategy))
		testcluster.Eventually(t, "all instances to be learned", func() bool { return len(ports(t, pool, 12)) == 3 })
		found := ports(t, pool, 30)
		if _, inTurn := strategy.(strategies.RoundRobin); inTurn && fmt.Sprint(found) != "map[5432:10 5433:10 5434:10]" {
			t.Errorf("%s: %v", strategy.Type(), found)
		}
	}
	for _, strategy := range []strategies.BalanceStrategy{strategies.NewLeastBusyStrategy(), strategies.NewLowestLatencyStrategy()} {
		one[int](t, open(t, shared.URL, picodata.WithBalanceStrategy(strategy)), whoAnswers)
	}
}

func TestTheStrategiesAnswerNumbersOfTheirPool(t *testing.T) {
	for _, strategy := range []strategies.BalanceStrategy{strategies.NewRoundRobinStrategy(), strategies.NewRandomStrategy(),
		strategies.NewLeastBusyStrategy(), strategies.NewLowestLatencyStrategy()} {
		current := new(uint64)
		var seen [3]int
		for i := 0; i < 300; i++ {
			seen[strategy.Next(current, 3)]++
		}
		if seen[0] < 30 || seen[1] < 30 || seen[2] < 30 || strategy.Type() == "" {
			t.Errorf("%s: %v", strategy.Type(), seen)
		}
	}
}

// last is a strategy as picodata-go has them.
type last struct{ calls int64 }

func (l *last) Next(_ *uint64, poolSize uint64) uint64 {
	atomic.AddInt64(&l.calls, 1)
	return poolSize - 1
}
func (l *last) Type() string { return "Last" }

func TestAStrategyOfTheProgramChooses(t *testing.T) {
	strategy := &last{}
	pool := open(t, shared.URL, picodata.WithBalanceStrategy(strategy))
	testcluster.Eventually(t, "all instances to be learned", func() bool { return pool.Ping(soon(t)) == nil && len(ports(t, pool, 4)) == 1 })
	before := atomic.LoadInt64(&strategy.calls)
	if found := ports(t, pool, 10); len(found) != 1 || atomic.LoadInt64(&strategy.calls) < before+10 {
		t.Errorf("%v after %d calls", found, strategy.calls)
	}
}

// byPort is a strategy that looks at its candidates.
type byPort struct {
	last
	mu   sync.Mutex
	port string
	seen []strategies.Candidate
}

func (b *byPort) Choose(candidates []strategies.Candidate) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = candidates
	for i, candidate := range candidates {
		if strings.HasSuffix(candidate.Address, b.port) {
			return i
		}
	}
	return 0
}

func TestAStrategyMayLookAtItsCandidates(t *testing.T) {
	for _, port := range []string{"5433", "5434"} {
		strategy := &byPort{port: ":" + port}
		pool := open(t, shared.URL, picodata.WithBalanceStrategy(strategy))
		testcluster.Eventually(t, port+" to answer", func() bool { return fmt.Sprint(one[int](t, pool, whoAnswers)) == port })
		if found := ports(t, pool, 10); len(found) != 1 {
			t.Errorf("%v", found)
		}
		testcluster.Eventually(t, "the names of the instances", func() bool {
			one[int](t, pool, whoAnswers)
			strategy.mu.Lock()
			defer strategy.mu.Unlock()
			return len(strategy.seen) == 3 && strategy.seen[2].Name == "default_3_1"
		})
		seen := strategy.seen[0]
		if seen.UUID != "00000001-0000-4000-8000-000000000001" || seen.Tier != "default" || seen.MaxConns != 10 ||
			!seen.IsMaster || !seen.IsLeader || strategy.seen[1].IsLeader || strategy.calls != 0 {
			t.Errorf("%+v, %d calls of Next", strategy.seen, strategy.calls)
		}
	}
}

func TestWithoutTopologyTheGivenInstancesAreAll(t *testing.T) {
	pool := open(t, instances(shared.URL)[2], picodata.WithDisableTopologyManaging())
	if found := ports(t, pool, 30); fmt.Sprint(found) != "map[5434:30]" {
		t.Errorf("%v", found)
	}
}

func TestTheServiceInstanceTellsOfTheOthers(t *testing.T) {
	urls := instances(shared.URL)
	pool := open(t, urls[0], picodata.WithServiceConnString(urls[2]))
	testcluster.Eventually(t, "all instances to be learned", func() bool { return len(ports(t, pool, 12)) == 3 })
	const nobody = "postgres://postgres@127.0.0.1:1/postgres?connect_timeout=1"
	lonely := open(t, urls[0], picodata.WithServiceConnString(nobody))
	if _, err := lonely.Exec(soon(t), "SELECT 1"); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("instances were learned from nobody: %v", err)
	}
}

// recorder is a logger of the program.
type recorder struct {
	mu       sync.Mutex
	level    logger.LogLevel
	messages []string
}

func (r *recorder) Log(level logger.LogLevel, msg string, fields ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name, _ := level.String()
	r.messages = append(r.messages, name+" "+fmt.Sprintf(msg, fields...))
}

func (r *recorder) SetLevel(level logger.LogLevel) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.level = level
	return nil
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.messages)
}

func TestALoggerOfTheProgramIsToldWhatHappens(t *testing.T) {
	const nobody = "postgres://postgres@127.0.0.1:1/postgres"
	mine := &recorder{}
	pool, err := picodata.New(context.Background(), nobody, picodata.WithLogLevel(logger.LevelWarn), picodata.WithLogger(mine))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	none := &recorder{}
	silent := open(t, nobody, picodata.WithLogger(none))
	for _, pool := range []*picodata.Pool{pool, silent} {
		if _, err := pool.Exec(soon(t), "SELECT 1"); err == nil {
			t.Error("nobody has answered")
		}
	}
	testcluster.Eventually(t, "a message", func() bool { return mine.count() > 0 })
	mine.mu.Lock()
	if mine.level != logger.LevelWarn || !strings.HasPrefix(mine.messages[0], "WARN ") ||
		!strings.Contains(mine.messages[0], "127.0.0.1:1") {
		t.Errorf("%v %q", mine.level, mine.messages)
	}
	mine.mu.Unlock()
	if none.count() != 0 {
		t.Errorf("%q", none.messages)
	}
}

type stubborn struct{ recorder }

var errStubborn = errors.New("no other level")

func (*stubborn) SetLevel(logger.LogLevel) error { return errStubborn }

func TestALoggersRefusalOfALevelIsAnswered(t *testing.T) {
	_, err := picodata.New(context.Background(), shared.URL, picodata.WithLogger(&stubborn{}), picodata.WithLogLevel(logger.LevelInfo))
	if !errors.Is(err, errStubborn) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Type() string                   { return "failing" }
func (failing) Next(*uint64, uint64) uint64    { panic("no choice today") }
func (failing) SetLevel(logger.LogLevel) error { return nil }
func (failing) Log(logger.LogLevel, string, ...any) {
	panic("no log today")
}

func TestAFunctionThatPanicsStopsNobody(t *testing.T) {
	pool := open(t, shared.URL, picodata.WithBalanceStrategy(failing{}), picodata.WithLogger(failing{}),
		picodata.WithLogLevel(logger.LevelDebug))
	for i := 0; i < 3; i++ {
		one[int](t, pool, "SELECT 1")
	}
}
