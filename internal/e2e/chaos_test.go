package e2e_test

import (
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// mishaps are what providers do now and then: they lose answers, refuse, fail and talk nonsense.
var mishaps = []string{
	`{"provider":"openai","call":"create","what":"lost","probability":0.03}`,
	`{"provider":"suno","call":"create","what":"lost","probability":0.03}`,
	`{"provider":"creatomate","call":"create","what":"lost","probability":0.03}`,
	`{"provider":"openai","call":"create","what":"status","status":429,"retry_after":"1","probability":0.02}`,
	`{"provider":"suno","call":"create","what":"status","status":429,"probability":0.02}`,
	`{"provider":"openai","call":"read","what":"status","status":500,"probability":0.02}`,
	`{"provider":"creatomate","call":"read","what":"garbage","probability":0.02}`,
	`{"provider":"youtube","call":"send","what":"cut","probability":0.05}`,
	`{"provider":"instagram","call":"publish","what":"lost","probability":0.05}`,
}

// chaos kills at random, from a seed that repeats the choices.
type chaos struct {
	t     *testing.T
	p     *e2e.Product
	dice  *rand.Rand
	kills map[string]int

	nodes  int
	pauses int
}

// TestChaos kills programs, broker and database at random under load, and wipes the broker's disk now and then. Every
// task completes once, every call is charged once, the ledger is the bill. CASTAD_CHAOS sets its length (default 15s),
// CASTAD_CHAOS_FLIGHT the tasks in flight, CASTAD_CHAOS_NODES the brokers, CASTAD_CHAOS_SEED repeats the choices of a run.
// CASTAD_CHAOS_WITHOUT=intent takes the record of intents out of the programs, and shows what is paid then.
func TestChaos(t *testing.T) {
	t.Parallel()
	length := testkit.Setting(t, "CASTAD_CHAOS", 15*time.Second, time.ParseDuration)
	seed := testkit.Setting(t, "CASTAD_CHAOS_SEED", rand.Uint64(), func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
	flight := testkit.Setting(t, "CASTAD_CHAOS_FLIGHT", 24, strconv.Atoi)
	nodes := testkit.Setting(t, "CASTAD_CHAOS_NODES", 1, strconv.Atoi)
	without := os.Getenv("CASTAD_CHAOS_WITHOUT")
	t.Logf("seed %d", seed)
	env := maps.Clone(slow)
	env["CASTAD_WITHOUT"] = without
	p := e2e.Start(t, e2e.Options{Env: env, Database: true, Copies: 2, Brokers: testkit.BrokerSettings{Nodes: nodes}})
	p.Login()
	c := &chaos{t: t, p: p, dice: rand.New(rand.NewPCG(seed, 0)), kills: map[string]int{}, nodes: nodes}
	c.mishaps()
	l := p.Load(t, "chaos", flight, func(n int) string { return order(n, languages[n%len(languages)]) })
	for until := time.Now().Add(length); time.Now().Before(until); {
		c.strike()
		c.rest(time.Second)
	}
	total := 0
	for _, n := range c.kills {
		total += n
	}
	t.Logf("%s of chaos: %d kill -9 %v, %d pauses", length, total, c.kills, c.pauses)
	if without != "" {
		tasks, failed := l.Settle()
		t.Logf("without %s: %d tasks, %d of them failed; the bill is %+v", without, tasks, failed, p.Bill().Providers)
		return
	}
	l.Finish()
	t.Logf("bill and ledger agree on %+v; %d calls were ordered again by an operator", p.Bill().Providers, len(p.Decided(t)))
}

// rest lets the product work for a while, at most that long.
func (c *chaos) rest(most time.Duration) { <-time.After(time.Duration(c.dice.Int64N(int64(most)))) }

// longPause is longer than a lease.
const longPause = 4 * time.Second

// strike kills one thing and starts it again after a while, or pauses it past its lease.
func (c *chaos) strike() {
	switch victim := c.dice.IntN(len(e2e.Programs) + 6); victim {
	case len(e2e.Programs), len(e2e.Programs) + 1:
		c.broker("broker", func(int) {})
	case len(e2e.Programs) + 2:
		c.broker("broker and its disk", c.p.Brokers().Wipe)
	case len(e2e.Programs) + 5:
		spoil := func(node int) { spoilStates(c.t, c.p.Brokers().Store(node)) }
		if c.nodes > 1 {
			spoil = c.p.Brokers().Wipe // docs/cluster.md: as for any node that can't open its consumers
		}
		c.broker("broker and its consumers' states", spoil)
	case len(e2e.Programs) + 3:
		c.kills["database"]++
		c.p.KillDatabase()
		c.rest(time.Second)
		c.p.StartDatabase()
	case len(e2e.Programs) + 4:
		name := e2e.Programs[3+c.dice.IntN(6)] // a consumer
		c.pauses++
		c.p.Pause(name)
		<-time.After(longPause)
		c.p.Continue(name)
	default:
		name := e2e.Programs[victim]
		c.kills[name]++
		c.p.Kill(name)
		c.rest(time.Second)
		c.p.Run(name)
		if name == "sandbox" { // which has forgotten them
			c.p.Ready(name)
			c.mishaps()
		}
	}
}

// mishaps has the providers make their mistakes.
func (c *chaos) mishaps() {
	for _, mishap := range mishaps {
		c.p.Fault(mishap)
	}
}

// broker kills one, and does something to it before it starts again.
func (c *chaos) broker(what string, between func(node int)) {
	c.kills[what]++
	node := c.dice.IntN(c.nodes)
	c.p.Brokers().Kill(node)
	c.rest(time.Second)
	between(node)
	c.p.Brokers().Start(node)
}
