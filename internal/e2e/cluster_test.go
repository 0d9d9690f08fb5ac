package e2e_test

import (
	"testing"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

const workStream = "CASTAD_WORK"

// slow are providers whose answers take a moment, so that a fault meets work under way.
var slow = map[string]string{"CASTAD_SANDBOX_ANSWER": "100ms", "CASTAD_SANDBOX_SONG": "200ms", "CASTAD_SANDBOX_RENDER": "200ms"}

// syncAlways makes a broker write each message to its disk before it answers.
var syncAlways = map[string]string{"max_file: 20GB": "max_file: 20GB\n  sync_interval: always"}

// fault is something done to a product while tasks come in.
type fault struct {
	name string
	do   func(l *e2e.Load)
}

// underLoad does one after the other, each under a load of its own. Whatever was done, all tasks of a load complete
// once, and the pipeline goes on.
func underLoad(t *testing.T, p *e2e.Product, faults []fault) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			l := p.Load(t, f.name, 16, func(n int) string { return order(n, languages[n%len(languages)]) })
			l.Completes(4)
			f.do(l)
			l.Completes(8)
			l.Finish()
		})
	}
}

// Two of three brokers go on without the third, and take it back.
func TestCluster_OneNodeOfThree(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Env: slow, Brokers: testkit.BrokerSettings{Nodes: 3, Links: true}})
	p.Login()
	b := p.Brokers()
	without := func(node func() int, away, back func(int)) func(l *e2e.Load) {
		return func(l *e2e.Load) {
			n := node()
			away(n)
			l.Completes(8)
			back(n)
			b.Ready()
		}
	}
	leader := func() int { return b.Leader(workStream) }
	follower := func() int { return (b.Leader(workStream) + 1) % b.Len() }
	underLoad(t, p, []fault{
		{"leader killed", without(leader, b.Kill, b.Start)},
		{"follower killed, its disk wiped", without(follower, func(n int) { b.Kill(n); b.Wipe(n) }, b.Start)},
		{"leader steps down", func(*e2e.Load) { b.StepDown(workStream) }},
		{"leader stands still", without(leader, b.Pause, b.Continue)},
		{"leader cut off", without(leader, b.Cut, b.Mend)},
		{"rolling restart", func(*e2e.Load) {
			for n := range b.Len() {
				b.Retire(n)
				b.Start(n)
				b.Ready()
			}
		}},
		{"all killed", func(*e2e.Load) {
			for n := range b.Len() {
				b.Kill(n)
			}
			for n := range b.Len() {
				b.Launch(n)
			}
			b.Ready()
		}},
	})
}
