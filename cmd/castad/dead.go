package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"castad/events"
	"castad/store"
)

type deadCommands struct {
	Ls     deadList   `cmd:"" help:"List dead letters, oldest first."`
	Show   deadShow   `cmd:"" help:"Show one dead letter."`
	Replay deadReplay `cmd:"" help:"Run what was given up on again, from its first attempt. Doing it twice is harmless."`
	Drop   deadDrop   `cmd:"" help:"Take a dead letter off the list; its stage stays failed."`
}

// which selects dead letters.
type which struct {
	ID    []string `arg:"" optional:"" help:"Ids of dead letters."`
	Stage string   `help:"Only of this stage."`
	Cause string   `help:"Only with this cause."`
	Task  string   `help:"Only of this task."`
	All   bool     `help:"All of them."`
	Do    bool     `help:"Do it. Without this flag only what would be done is shown."`
}

const mostDead = 10_000

func (w which) letters(s *session, db *store.DB) ([]store.Dead, error) {
	if len(w.ID) == 0 && w.Stage == "" && w.Cause == "" && w.Task == "" && !w.All {
		return nil, fmt.Errorf("say which: ids, --stage, --cause, --task or --all")
	}
	if len(w.ID) == 0 {
		return db.ListDead(s.ctx, store.DeadFilter{Stage: events.Stage(w.Stage), Cause: w.Cause, TaskID: w.Task, Limit: mostDead})
	}
	letters := make([]store.Dead, 0, len(w.ID))
	for _, id := range w.ID {
		letter, err := db.LoadDead(s.ctx, id)
		if err != nil {
			return nil, err
		}
		letters = append(letters, letter)
	}
	return letters, nil
}

type deadList struct {
	Stage string `help:"Only of this stage."`
	Cause string `help:"Only with this cause."`
}

// Run lists.
func (c *deadList) Run(s *session) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	letters, err := db.ListDead(s.ctx, store.DeadFilter{Stage: events.Stage(c.Stage), Cause: c.Cause, Limit: mostDead})
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSTAGE\tCAUSE\tATTEMPTS\tTASK\tLAST")
	for _, l := range letters {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", l.ID, l.Stage, l.Cause, l.Attempts, l.TaskID, l.LastAt.Format(time.RFC3339))
	}
	return table.Flush()
}

type deadShow struct {
	ID string `arg:"" help:"Id of a dead letter."`
}

// Run shows one letter.
func (c *deadShow) Run(s *session) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	l, err := db.LoadDead(s.ctx, c.ID)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
	for _, row := range [][2]any{{"id", l.ID}, {"state", l.State}, {"task", l.TaskID}, {"stage", l.Stage}, {"revision", l.Revision},
		{"cause", l.Cause}, {"reason", l.Reason}, {"attempts", l.Attempts}, {"first at", l.FirstAt.Format(time.RFC3339Nano)},
		{"last at", l.LastAt.Format(time.RFC3339Nano)}, {"message", fmt.Sprintf("%s %d (%s)", l.Stream, l.StreamSeq, l.Subject)},
		{"consumer", l.Consumer}, {"program", l.Program + " " + l.ProgramVersion}, {"trace", l.Traceparent}} {
		fmt.Fprintf(table, "%s\t%v\n", row[0], row[1])
	}
	return table.Flush()
}

type deadReplay struct{ which }

// Run replays the selected letters.
func (c *deadReplay) Run(s *session) error {
	return c.each(s, "replay", func(db *store.DB, l store.Dead) (string, error) {
		done, err := db.Replay(s.ctx, l.ID)
		if err == nil && !done {
			return "nothing to replay: it was dealt with before", nil
		}
		return "replayed", err
	})
}

type deadDrop struct{ which }

// Run drops the selected letters.
func (c *deadDrop) Run(s *session) error {
	return c.each(s, "drop", func(db *store.DB, l store.Dead) (string, error) { return "dropped", db.Drop(s.ctx, l.ID) })
}

func (w which) each(s *session, what string, do func(*store.DB, store.Dead) (string, error)) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	letters, err := w.letters(s, db)
	if err != nil {
		return err
	}
	for _, l := range letters {
		result := "would " + what
		if w.Do {
			if result, err = do(db, l); err != nil {
				return fmt.Errorf("%s %s: %w", what, l.ID, err)
			}
		}
		fmt.Fprintf(s.out, "%s  %s  %s  %s\n", l.ID, l.Stage, l.Cause, result)
	}
	if !w.Do && len(letters) > 0 {
		fmt.Fprintln(s.out, "Nothing was done. Add --do to do it.")
	}
	return nil
}
