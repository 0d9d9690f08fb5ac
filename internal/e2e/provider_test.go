package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// perRow is how many calls each fault meets.
const perRow = 2

// slowest is longer than any provider here takes to accept a call: who decides earlier pays twice.
const slowest = 50 * time.Second

// Every provider does everything that providers do, to calls of each kind, while tasks keep coming. All are completed,
// each run is paid for once, the ledger is the bill, and a person is asked only where the row says so.
func TestProviders_Faults(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Decides: slowest, Env: map[string]string{"CASTAD_CRAWL_FRESH": "0s", "CASTAD_OPENAI_TIMEOUT": "3s", "CASTAD_SLOTS": "32"}})
	p.Login()
	l := p.Load(t, "faults", 48, func(n int) string { return order(n, languages[n%len(languages)]) })
	calls := map[string][]providerFault{}
	persons := 0
	for _, f := range providerFaults() {
		calls[f.provider+" "+f.call] = append(calls[f.provider+" "+f.call], f)
		if f.then == person {
			persons += perRow
		}
	}
	var all, forger sync.WaitGroup
	ctx, enough := context.WithCancel(t.Context())
	forged := 0
	forger.Go(func() { forged = forge(ctx, t, p) })
	for _, faults := range calls { // one after the other: two at once would meet one call together
		all.Go(func() {
			for _, f := range faults {
				if f.fault == nil {
					continue
				}
				p.Fault(f.order())
				testkit.Eventually(t, f.String()+" has met calls", func() bool { return !pending(p, f) })
			}
		})
	}
	all.Wait()
	enough()
	forger.Wait()
	if forged == 0 {
		t.Error("no forged callback met a call under way")
	}
	l.Finish()
	if decided := p.Decided(t); len(decided) != persons {
		t.Errorf("a person ordered %d calls again, want %d: %v", len(decided), persons, decided)
	}
	documentFaults(t)
}

// pending reports whether a fault has still to happen.
func pending(p *e2e.Product, f providerFault) bool {
	set, err := p.PendingFaults()
	return err != nil || slices.Contains(set, e2e.PendingFault{Provider: f.provider, Call: f.call})
}

const faultsHead = `# What providers do, and what becomes of it

Each of these but the forged callbacks, which come all the time, happens to calls in the middle of ` + "`TestProviders_Faults`" + `, while tasks of six languages keep coming: all of them are completed, each run is paid for once, and the ledger is the bill. What providers refuse for good (a word they don't sing, an account without credits) ends as a dead letter with its cause, and is in the stages' own tests. This page is written by ` + "`CASTAD_UPDATE=1 go test ./internal/e2e -run TestProviders`" + `, and a test fails when it is out of date.

| provider | call | what it does | what becomes of it |
|---|---|---|---|
`

// documentFaults compares docs/provider-faults.md with what is tested, or writes it.
func documentFaults(t *testing.T) {
	t.Helper()
	page := strings.Builder{}
	page.WriteString(faultsHead)
	for _, f := range providerFaults() {
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", f.provider, f.call, f.name, f.then)
	}
	path := filepath.Join(testkit.Root(), "docs", "provider-faults.md")
	if os.Getenv("CASTAD_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page.String(), string(kept)); diff != "" {
		t.Errorf("docs/provider-faults.md is out of date; CASTAD_UPDATE=1 writes it (-want +got):\n%s", diff)
	}
}
