package system

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Schema is what systems keep that bring no schema of their own. A stage's status is a row of its own, without a unique
// key, so that the audit sees a stage that was done twice.
var Schema = []string{
	"CREATE TABLE `task` (`task_id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, `payload` varchar(4096) NOT NULL," +
		" `created_at` datetime(6) NOT NULL, PRIMARY KEY (`task_id`)) ENGINE=InnoDB",
	"CREATE TABLE `status` (`id` bigint NOT NULL AUTO_INCREMENT, `task_id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL," +
		" `stage` varchar(16) CHARACTER SET ascii NOT NULL, `at` datetime(6) NOT NULL, PRIMARY KEY (`id`), KEY `status_task_index` (`task_id`)) ENGINE=InnoDB",
}

// Apply runs statements one after the other.
func Apply(ctx context.Context, db *sql.DB, statements []string) error {
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("make the tables: %w", err)
		}
	}
	return nil
}

// AuditSchema reads the records of a system that uses Schema.
func AuditSchema(ctx context.Context, db *sql.DB) (Audit, error) {
	var a Audit
	err := db.QueryRowContext(ctx, "SELECT (SELECT COUNT(*) FROM `task`), (SELECT COUNT(DISTINCT `task_id`) FROM `status` WHERE `stage`='upload'),"+
		" (SELECT COUNT(*) FROM `status`)").Scan(&a.Accepted, &a.Completed, &a.Statuses)
	if err != nil {
		return a, fmt.Errorf("read the records: %w", err)
	}
	return a, nil
}

// Next is the stage after a stage, and "" after the last.
func Next(stage string) string {
	for i, s := range Stages[:len(Stages)-1] {
		if s == stage {
			return Stages[i+1]
		}
	}
	return ""
}

// Rows repeats a row's placeholders: Rows("(?,?)", 3) is "(?,?),(?,?),(?,?)".
func Rows(row string, n int) string { return strings.TrimSuffix(strings.Repeat(row+",", n), ",") }
