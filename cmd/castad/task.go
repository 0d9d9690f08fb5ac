package main

import (
	"fmt"
	"text/tabwriter"
)

type taskCommand struct {
	ID string `arg:"" help:"Id of a task."`
}

// Run shows a task, its newest runs, and what was ordered from providers.
func (c *taskCommand) Run(s *session) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	task, err := db.LoadTask(s.ctx, c.ID)
	if err != nil {
		return err
	}
	runs, err := db.LoadRuns(s.ctx, c.ID)
	if err != nil {
		return err
	}
	jobs, err := db.ListJobs(s.ctx, c.ID)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "task %s: %s at %s (%d events) %s %s\n", task.ID, task.Status, task.Stage, task.EventSeq, task.Code, task.Reason)
	table := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "STAGE\tREV\tSTATUS\tATTEMPT\tCODE\tREASON")
	for _, r := range runs {
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%s\t%s\n", r.Stage, r.Revision, r.Status, r.Attempt, r.Code, r.Reason)
	}
	fmt.Fprintln(table, "\nJOB\tPROVIDER\tPURPOSE\tTRY\tSTATUS\tID")
	for _, j := range jobs {
		fmt.Fprintf(table, "%d\t%s\t%s %s %d\t%d\t%s\t%s\n", j.ID, j.Provider, j.Stage, j.Purpose, j.Revision, j.Try, j.Status, j.ExternalID)
	}
	return table.Flush()
}
