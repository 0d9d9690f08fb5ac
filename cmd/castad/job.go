package main

import (
	"fmt"
	"text/tabwriter"
	"time"
)

type jobCommands struct {
	Ls    jobList  `cmd:"" help:"List the calls whose outcome nobody knows: paid, or not?"`
	Adopt jobAdopt `cmd:"" help:"The provider has accepted the call, under this id: go on with it."`
	Again jobAgain `cmd:"" help:"The provider hasn't accepted the call: make it again, and pay for it."`
	Fail  jobFail  `cmd:"" help:"Don't pay again: give the stage up, with a dead letter."`
}

type jobList struct{}

// Run lists.
func (jobList) Run(s *session) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	jobs, err := db.UncertainJobs(s.ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "JOB\tPROVIDER\tSTAGE\tTASK\tPRICE\tSENT\tREASON")
	for _, j := range jobs {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t$%.4f\t%s\t%s\n", j.ID, j.Provider, j.Stage, j.TaskID, float64(j.PriceMicros)/1e6,
			j.SentAt.V.Format(time.RFC3339), j.Reason)
	}
	return table.Flush()
}

type jobAdopt struct {
	Job int64  `arg:"" help:"Number of the job."`
	ID  string `arg:"" help:"The provider's id of it."`
}

// Run adopts the provider's id.
func (c *jobAdopt) Run(s *session) error { return decide(s, c.Job, c.ID) }

type jobAgain struct {
	Job int64 `arg:"" help:"Number of the job."`
}

// Run orders the job again.
func (c *jobAgain) Run(s *session) error { return decide(s, c.Job, "") }

type jobFail struct {
	Job int64 `arg:"" help:"Number of the job."`
}

// Run gives the job's stage up.
func (c *jobFail) Run(s *session) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.DecideToFail(s.ctx, c.Job); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Job %d is given up, and its stage with it; castad dead ls shows the letter.\n", c.Job)
	return nil
}

func decide(s *session, job int64, id string) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Decide(s.ctx, job, id); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Job %d is decided; its task goes on within seconds.\n", job)
	return nil
}
