// Package guards has no code but a test: it takes each guard of the two promises out of a copy of the source, and sees
// that a test notices. docs/reliability.md has the list.
package guards_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"castad/internal/testkit"
)

// guard is a piece of source that keeps a promise, and the test that fails without it.
type guard struct {
	name      string
	file      string
	with, out string // the source as it is, and without the guard
	pkg, test string
}

var guards = []guard{
	{"compare-and-set of the claim: a run with a live lease isn't claimed", "store/claim.go",
		"case run.LeaseToken.Valid && run.LeaseUntil.V.After(now):", "case false:", "store", "TestClaim_OneOfManyWins"},
	{"the record of intents: a call that was sent isn't sent again", "store/pay.go",
		`if crash.Without("intent") {`, "if true {", "store", "TestPayOnce_UnknownOutcomeIsNotPaidAgain"},
	{"the record of intents: a call is looked for by what was written before it", "store/pay.go",
		`if crash.Without("intent") {`, "if true {", "store", "TestPayOnce_HandleFindsTheCall"},
	{"what isn't found too early may still come", "store/pay.go",
		"if now.Sub(job.SentAt.V) < p.timeout()+db.flight+p.Longest {", "if now.Before(job.SentAt.V) {", "store", "TestPayOnce_NotFoundTooEarly"},
	{"compare-and-set of the call: one of many workers sends it", "store/job.go",
		"if tx.planned == nil {", "if tx.planned == nil {\n\t\t\ttx.planned = &Job{}\n\t\t}\n\t\tif false {", "store", "TestPayOnce_ManyWorkersPayOnce"},
	{"the lease before a call", "store/begin.go",
		" && run.LeaseUntil.V.After(task.now)", "", "store", "TestPayOnce_WithALeaseThatRanOutNothingIsPaid"},
	{"the fence before a save", "store/begin.go",
		"return run.Revision == c.Revision && run.LeaseToken.Valid && run.LeaseToken.V == c.Token", "return true", "store", "TestFence_LateWorkerCannotSave"},
	{"the claim before a call", "store/begin.go",
		"return task, nil\n\tcase ok && c.early != nil &&", "return task, nil\n\tcase c.early != nil ||", "store", "TestBegin_PaysOnlyWithItsClaim"},
	{"the claim before a second try", "internal/worker/handle.go",
		"meta.NumDelivered == 1", "meta.NumDelivered > 0", "internal/worker", "TestClaim_RedeliveredIsCountedBeforeItsWork"},
	{"a cap is checked by the statement that spends", "store/ledger.go",
		"AND `day`=CURRENT_DATE AND `micros`+?<=?\"", "AND `day`=CURRENT_DATE AND (`micros`+?<=? OR 1=1)\"", "store", "TestCaps_HoldUnderConcurrentCalls"},
	{"the deduplication id of a fact", "internal/broker/publish.go",
		"nil, jetstream.WithMsgID(eventID))", "nil)", "internal/broker", "TestPublish_AgainAfterALostNote"},
	{"one work message for a stage of a task", "internal/broker/publish.go",
		"jetstream.WithMsgID(eventID), jetstream.WithExpectLastSequencePerSubject(0))", "jetstream.WithMsgID(eventID))", "internal/broker", "TestPublish_AgainAfterALostNote"},
	{"a broker that has lost messages is refilled", "internal/relay/recognise.go",
		"n, err := r.DB.MakeAllDue(ctx)", "n, err := int64(0), error(nil)", "internal/relay", "TestRelay_RefillsBrokerThatWentBack"},
	{"a consumer that has lost its place is made anew", "internal/broker/backlog.go",
		"return n > int(info.NumPending)+info.NumAckPending || info.Delivered.Stream > there.State.LastSeq, nil", "return false, nil", "internal/broker", "TestFree_ConsumerThatIsAheadOfItsStream"},
	{"a stream whose consumer the broker can't open is made anew", "internal/relay/recognise.go",
		"errors.Is(r.Broker.Ready(), broker.ErrSpoiled)", "errors.Is(r.Broker.Ready(), context.Canceled)", "internal/relay", "TestRelay_MakesStreamWithSpoiledConsumerAnew"},
	{"so is one whose consumer has no leader any more", "internal/relay/recognise.go",
		"return time.Since(r.leaderless) > r.Election", "return false", "internal/relay", "TestRelay_MakesStreamOfLeaderlessConsumerAnew"},
}

func TestGuards(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(testkit.Root(), "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			if row := fmt.Sprintf("| %s | `%s` |", g.name, g.test); !strings.Contains(string(page), row) {
				t.Errorf("docs/reliability.md doesn't say: %s", row)
			}
			out := g.without(t)
			if strings.Contains(out, "[build failed]") || !strings.Contains(out, "--- FAIL: "+g.test) {
				t.Errorf("%s doesn't notice that it is missing:\n%s", g.test, out)
			}
		})
	}
}

// without runs the guard's test on source that lacks it, and returns what it printed.
func (g guard) without(t *testing.T) string {
	t.Helper()
	original, dir := filepath.Join(testkit.Root(), filepath.FromSlash(g.file)), t.TempDir()
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), g.with); n != 1 {
		t.Fatalf("%s has %d times: %s", g.file, n, g.with)
	}
	changed, overlay := filepath.Join(dir, filepath.Base(g.file)), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{changed: strings.Replace(string(source), g.with, g.out, 1), overlay: string(list)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	test := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-count=1", "-run", "^"+g.test+"$", "./"+g.pkg)
	test.Dir = testkit.Root()
	out, _ := test.CombinedOutput() // it shall fail; how is in what it prints
	return string(out)
}
