package e2e

import (
	"encoding/json"
	"testing"
)

// spent is a line of `castad ledger --json`.
type spent struct {
	Key                     string
	Calls                   int
	Micros, Held, Estimated int64
}

// LedgerIsBill compares what the ledger says with what the sandbox would have billed, to the last micro-dollar. Where an
// answer's id was lost, the language model never told what it has used: such calls are in the ledger with the most that
// they can cost, and marked as estimated.
func (p *Product) LedgerIsBill(t testing.TB) {
	t.Helper()
	var lines []spent
	if err := json.Unmarshal([]byte(p.castad("ledger", "--by", "provider", "--json")), &lines); err != nil {
		t.Fatalf("read the ledger: %v", err)
	}
	bill := p.Bill()
	for _, line := range lines {
		billed := bill.Providers[line.Key]
		sure := line.Estimated == 0
		if line.Calls != billed.Calls || sure && line.Micros != billed.Micros || line.Micros < billed.Micros || line.Held != 0 {
			t.Errorf("%s has billed %d calls for %d micro-dollars; the ledger says %+v", line.Key, billed.Calls, billed.Micros, line)
		}
		delete(bill.Providers, line.Key)
	}
	for provider, billed := range bill.Providers {
		if billed.Micros != 0 {
			t.Errorf("%s has billed %+v; the ledger knows nothing of it", provider, billed)
		}
	}
}
