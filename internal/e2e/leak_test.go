package e2e_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// held is what is held open, counted: goroutines and open files of each program, connections among them; connections and
// subscriptions at the broker; temporary files.
type held map[string]int

// slack is how many more of a thing may be held after ten times the trouble: pools fill up by chance.
const slack = 6

// Nothing stays behind of what tasks, watchers who hang up, and lost brokers and databases made the programs open: after
// ten rounds of it they hold no more than after one.
func TestLeaks_NothingStaysBehind(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	p := e2e.Start(t, e2e.Options{Env: map[string]string{"TMPDIR": temporary}, Database: true, Brokers: testkit.BrokerSettings{Nodes: 1}})
	p.Login()
	round := 0
	trouble := func() {
		round++
		l := p.Load(t, fmt.Sprintf("round-%d", round), 8, func(n int) string { return order(n, languages[n%len(languages)]) })
		l.Completes(3)
		p.Brokers().Kill(0)
		p.Brokers().Start(0)
		p.KillDatabase()
		p.StartDatabase()
		l.Completes(3)
		l.Finish()
	}
	trouble()
	before := holds(t, p, temporary)
	for range 10 {
		trouble()
	}
	var more []string
	defer func() {
		if t.Failed() {
			t.Logf("after round 1: %v\nleft over: %v", before, more)
		}
	}()
	testkit.Within(t, 3*time.Minute, "all holds no more than after the first round", func() bool {
		more = nil
		for what, n := range holds(t, p, temporary) {
			if n > before[what]+slack {
				more = append(more, fmt.Sprintf("%s: %d", what, n))
			}
		}
		return len(more) == 0
	})
}

func holds(t *testing.T, p *e2e.Product, temporary string) held {
	t.Helper()
	now := held{}
	for _, name := range e2e.Programs[1:] { // without the sandbox, which isn't ours
		metrics := p.Metrics(name)
		now["goroutines of "+name], now["open files of "+name] = metrics["go_goroutines"], metrics["process_open_fds"]
	}
	var broker struct {
		Connections []struct {
			Name          string
			Subscriptions int
		}
	}
	if err := p.Brokers().Monitor(0, "/connz", &broker); err != nil {
		t.Fatal(err)
	}
	for _, c := range broker.Connections {
		now["connections of the broker"]++
		now["subscriptions of "+c.Name] += c.Subscriptions
	}
	files, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	now["temporary files"] = len(files)
	return now
}
