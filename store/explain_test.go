package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"castad/internal/testkit"
)

// What a shared transaction reads and writes goes by keys, however many tasks there are: the plan reads some rows and not
// the table.
func TestTogether_StatementsGoByKeys(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("mysql", testkit.Database(t)+"?multiStatements=true")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fillTasks(t, db, 2000)
	const some = 20
	ids, pairs := make([]any, some), make([]any, 0, 2*some)
	for i := range ids {
		ids[i] = fmt.Sprintf("task-%d", 7*i)
		pairs = append(pairs, ids[i], "song")
	}
	in := func(statement, key string) string { return fmt.Sprintf(statement, placeholders(key, some)) }
	for name, q := range map[string]struct {
		statement string
		values    []any
		most      int // rows that the plan may read
	}{
		"lock tasks":    {in(lockCore+skipLocked, "?"), ids, some},
		"read runs":     {in(readRuns, "?"), ids, 12 * some},
		"lock stages":   {in(lockStages, "(?,?)"), pairs, 12 * some},
		"accepted jobs": {in(readAccepted, "?"), ids, some},
		"change tasks":  {in("UPDATE `task` SET `event_seq`=`event_seq`+1 WHERE `task_id` IN (%s)", "?"), ids, some},
		"change runs": {in("UPDATE `stage_run` SET `status`='processing',`version`=`version`+1"+whereRuns, "?"),
			append([]any{"song", 1}, ids...), 12 * some},
	} {
		key, rows := explain(t, db, q.statement, q.values)
		if key == "" || rows > q.most {
			t.Errorf("%s: the plan reads %d rows by key %q, of at most %d", name, rows, key, q.most)
		}
	}
}

func fillTasks(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	var tasks, runs []string
	for i := range n {
		tasks = append(tasks, fmt.Sprintf("('task-%d','u','processing','song','Korean','{}','{}','[]','[]',NOW(6),NOW(6))", i))
		for _, stage := range []string{"crawl", "intel", "lyric", "song", "video", "upload"} {
			runs = append(runs, fmt.Sprintf("('task-%d','%s',1,'pending',NOW(6),NOW(6))", i, stage))
		}
	}
	for _, statement := range []string{
		"INSERT INTO `task` (`task_id`,`user_uuid`,`status`,`stage`,`language`,`source`,`music`,`publish`,`holds`,`created_at`,`updated_at`) VALUES " + strings.Join(tasks, ","),
		"INSERT INTO `stage_run` (`task_id`,`stage`,`revision`,`status`,`due_at`,`created_at`) VALUES " + strings.Join(runs, ","),
		"ANALYZE TABLE `task`, `stage_run`",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}

// explain returns the key by which a statement finds its rows, and how many it expects to read.
func explain(t *testing.T, db *sql.DB, statement string, values []any) (key string, rows int) {
	t.Helper()
	found, err := db.Query("EXPLAIN "+statement, values...)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil || !found.Next() {
		t.Fatalf("explain: %v", err)
	}
	row := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	if err := errors.Join(found.Scan(into...), found.Err()); err != nil {
		t.Fatal(err)
	}
	for i, column := range columns {
		switch column {
		case "key":
			key = row[i].String
		case "rows":
			_, _ = fmt.Sscan(row[i].String, &rows)
		}
	}
	return key, rows
}
