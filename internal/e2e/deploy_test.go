package e2e_test

import (
	"database/sql"
	"maps"
	"testing"

	"castad/internal/e2e"
)

// deployed are the programs that a deploy replaces; the sandbox stands for others'.
var deployed = []string{"relay", "api", "crawl", "intel", "lyric", "song", "video", "upload"}

// forEver is a lease that nobody waits for: a task whose message or row were left in the hands of a program that ended
// would stand still until the test gives up.
const forEver = "1h"

// mostRolls is how many programs more are replaced for want of a run that this cuts short.
const mostRolls = 40

// All programs are replaced under load, one copy after the other, as a deploy does. It uses up no attempt, whether there
// is time to finish what is in work or not, and nothing waits for the end of a lease.
func TestDeploy_RollingRestart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		env       map[string]string
		cutsShort bool
	}{
		{"time to finish", map[string]string{"CASTAD_GRACE": "20s"}, false},
		{"no time to finish", map[string]string{"CASTAD_GRACE": "1ms", "CASTAD_SANDBOX_ANSWER": "500ms"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			env := maps.Clone(slow)
			maps.Copy(env, tc.env)
			env["CASTAD_LEASE"] = forEver
			p := e2e.Start(t, e2e.Options{Env: env, Copies: 2})
			p.Login()
			l := p.Load(t, "deploy", 16, func(n int) string { return order(n, languages[n%len(languages)]) })
			l.Completes(2)
			for _, name := range deployed {
				p.Roll(name)
				l.Completes(1)
			}
			rows := p.Rows(t)
			for n := 0; tc.cutsShort && begunTwice(t, rows) == 0 && n < mostRolls; n++ { // whether there is something to cut is luck
				p.Roll(deployed[n%len(deployed)])
				l.Completes(1)
			}
			l.Finish()
			if most := count(t, rows, "SELECT MAX(`attempt`) FROM `task_event`"); most != 1 {
				t.Errorf("a run was begun as its attempt %d, and nothing had failed", most)
			}
			if begun := begunTwice(t, rows); (begun > 0) != tc.cutsShort {
				t.Errorf("%d runs were begun a second time", begun)
			}
		})
	}
}

// begunTwice counts the runs of which the events tell more than once that somebody works on them: they were given back
// and taken again.
func begunTwice(t *testing.T, rows *sql.DB) int {
	t.Helper()
	return count(t, rows, "SELECT COUNT(*) FROM (SELECT 1 FROM `task_event` WHERE `what`='processing' AND `stage`<>'task'"+
		" GROUP BY `task_id`,`stage`,`revision` HAVING COUNT(*) > 1) AS again")
}

func count(t *testing.T, rows *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := rows.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
