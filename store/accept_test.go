package store

import (
	"context"
	"testing"

	"castad/internal/testkit"
	"castad/providers"
)

// The answer to a commit is lost, and the transaction, which was committed, is made again: there is one task, and the
// caller gets it.
func TestAccept_CommitWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	db, err := Open(Settings{DSN: testkit.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := Submission{UserUUID: "u", Language: providers.Korean, Orientation: "vertical"}
	hash, err := s.hash()
	if err != nil {
		t.Fatal(err)
	}
	taskID := newID()
	again := func() error {
		return db.together.do(t.Context(), ahead{}, func(tx *Tx) error { tx.submit(s, taskID, hash); return nil })
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	if err := again(); !duplicate(err) {
		t.Errorf("made a second time: %v", err)
	}
	got, err := db.made(context.Background(), s, taskID, hash)
	if err != nil || got.TaskID != taskID || got.Task != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	var tasks, events int
	if err := db.sql.QueryRow("SELECT (SELECT COUNT(*) FROM `task`), (SELECT COUNT(*) FROM `task_event`)").Scan(&tasks, &events); err != nil || tasks != 1 || events != 1 {
		t.Errorf("%d tasks with %d events, %v", tasks, events, err)
	}
}
