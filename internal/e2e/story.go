package e2e

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

const tellTask = "SELECT TIMESTAMPDIFF(MICROSECOND, t.`created_at`, e.`at`)/1e6 AS `at`, CONCAT_WS(' ', e.`stage`, e.`what`, NULLIF(e.`code`,'')) AS `what`" +
	" FROM `task_event` e JOIN `task` t ON t.`task_id`=e.`task_id` WHERE e.`task_id`=? ORDER BY e.`seq`"

const tellJobs = "SELECT TIMESTAMPDIFF(MICROSECOND, t.`created_at`, j.`sent_at`)/1e6 AS `at`, CONCAT_WS(' ', j.`provider`, j.`stage`, j.`try`, j.`status`) AS `what`" +
	" FROM `provider_job` j JOIN `task` t ON t.`task_id`=j.`task_id` WHERE j.`task_id`=? ORDER BY j.`sent_at`"

// story tells what happened to a task and which calls were made for it, in seconds since it was accepted.
func story(t testing.TB, rows *sql.DB, id string) string {
	t.Helper()
	told := strings.Builder{}
	for _, query := range []string{tellTask, tellJobs} {
		for _, step := range Read[struct {
			At   sql.NullFloat64
			What string
		}](t, rows, query, id) {
			fmt.Fprintf(&told, "\n%8.1f %s", step.At.Float64, step.What)
		}
	}
	return told.String()
}
