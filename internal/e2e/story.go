package e2e

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

const tellTask = "SELECT TIMESTAMPDIFF(MICROSECOND, t.`created_at`, e.`at`)/1e6, CONCAT_WS(' ', e.`stage`, e.`what`, NULLIF(e.`code`,''))" +
	" FROM `task_event` e JOIN `task` t ON t.`task_id`=e.`task_id` WHERE e.`task_id`=? ORDER BY e.`seq`"

const tellJobs = "SELECT TIMESTAMPDIFF(MICROSECOND, t.`created_at`, j.`sent_at`)/1e6, CONCAT_WS(' ', j.`provider`, j.`stage`, j.`try`, j.`status`)" +
	" FROM `provider_job` j JOIN `task` t ON t.`task_id`=j.`task_id` WHERE j.`task_id`=? ORDER BY j.`sent_at`"

// story tells what happened to a task and which calls were made for it, in seconds since it was accepted.
func story(t testing.TB, rows *sql.DB, id string) string {
	t.Helper()
	told := strings.Builder{}
	for _, query := range []string{tellTask, tellJobs} {
		if err := tell(&told, rows, query, id); err != nil {
			t.Errorf("tell the story of task %s: %v", id, err)
		}
	}
	return told.String()
}

func tell(to *strings.Builder, rows *sql.DB, query, id string) error {
	found, err := rows.Query(query, id)
	if err != nil {
		return err
	}
	defer found.Close() //nolint:errcheck // read to its end below
	for found.Next() {
		var at sql.NullFloat64
		var what string
		if err := found.Scan(&at, &what); err != nil {
			return err
		}
		fmt.Fprintf(to, "\n%8.1f %s", at.Float64, what)
	}
	return found.Err()
}
