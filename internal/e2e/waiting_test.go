package e2e_test

import (
	"database/sql"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

const (
	song     = 40 * time.Second // that a provider takes for one, so that all wait at once
	mostMore = 64 << 20         // bytes of memory, for any number of waiting tasks
)

// CASTAD_E2E_WAITING tasks (default 200) wait for their songs at once. They hold no message, no slot and no memory; a
// fresh task passes them; and all programs may end meanwhile.
func TestWaiting_ManyTasks(t *testing.T) {
	t.Parallel()
	n := testkit.Setting(t, "CASTAD_E2E_WAITING", 200, strconv.Atoi)
	length := testkit.Setting(t, "CASTAD_E2E_SONG", song, time.ParseDuration)
	env := maps.Clone(quickly)
	maps.Copy(env, map[string]string{"CASTAD_SANDBOX_SONG": length.String(), "CASTAD_SUNO_LOOK": "5s"})
	p := e2e.Start(t, e2e.Options{Env: env})
	p.Login()
	rows := p.Rows(t)
	before := p.Metrics("song")["process_resident_memory_bytes"]
	ids := submitFast(p, n)
	testkit.Within(t, length, fmt.Sprintf("%d tasks wait for their songs", n), func() bool { return waiting(t, rows) == n })
	testkit.Eventually(t, "nothing of them is on the broker", func() bool { return p.Messages("CASTAD_WORK") == 0 })
	if more := p.Metrics("song")["process_resident_memory_bytes"] - before; more > mostMore {
		t.Errorf("song has %d bytes more for %d waiting tasks", more, n)
	}
	fresh := p.Submit("fresh", order(1, "English"))
	testkit.Within(t, length, "a fresh task waits for its song too", func() bool { return waiting(t, rows) == n+1 })
	for _, name := range e2e.Programs {
		p.Kill(name)
		p.Run(name)
	}
	ids = append(ids, fresh)
	p.Completed(ids...)
	p.LedgerIsBill(t)
}

func waiting(t *testing.T, rows *sql.DB) int {
	t.Helper()
	return count(t, rows, "SELECT COUNT(*) FROM `stage_run` WHERE `stage`='song' AND `status`='waiting'")
}
