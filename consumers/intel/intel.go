package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"castad/internal/author"
	"castad/internal/worker"
	"castad/prompts"
	"castad/store"
)

// Result is a new report, or the id of one on the same place that is still fresh.
type Result struct {
	Report *store.Marketing
	Fresh  int64
}

// Stage has the marketing report written.
type Stage struct {
	DB      *store.DB
	Author  *author.Author
	Prompts *prompts.Library
	Fresh   time.Duration // how long a report on the same place is used again
}

// reportPurpose tells the call for the report from others of the run.
const reportPurpose = "report"

// Work may be called any number of times for one run: the call is paid once.
func (s *Stage) Work(ctx context.Context, c store.Claim) (worker.Outcome[Result], error) {
	project, err := s.DB.LoadProject(ctx, c.TaskID)
	if err != nil {
		return worker.Outcome[Result]{}, err
	}
	if c.Edit.V != nil && c.Edit.V.Report != nil {
		return s.edited(c)
	}
	fresh, err := s.fresh(ctx, c, project)
	if err == nil {
		return worker.Done(Result{Fresh: fresh.ID})
	}
	if !errors.Is(err, store.ErrNotFound) {
		return worker.Outcome[Result]{}, err
	}
	return s.write(ctx, c, project)
}

// fresh returns a report on the same place that may be used again. Not for a run that has ordered one of its own: that is
// paid for, or nobody knows, and nobody else would ask. Errors: store.ErrNotFound.
func (s *Stage) fresh(ctx context.Context, c store.Claim, project store.Project) (store.Marketing, error) {
	if c.Revision > 1 {
		return store.Marketing{}, store.ErrNotFound
	}
	_, err := s.DB.FindJob(ctx, c.Run, reportPurpose)
	if err == nil {
		return store.Marketing{}, store.ErrNotFound
	}
	if !errors.Is(err, store.ErrNotFound) {
		return store.Marketing{}, err
	}
	return s.DB.FindFreshMarketing(ctx, project.PlaceID, project.Language, s.Fresh)
}

// edited takes a person's report. It belongs to this task alone: place_id stays empty, so that no other task uses it.
func (s *Stage) edited(c store.Claim) (worker.Outcome[Result], error) {
	if _, err := prompts.DecodeReport(c.Edit.V.Report); err != nil {
		return worker.Outcome[Result]{}, err
	}
	return worker.Done(Result{Report: &store.Marketing{TaskID: c.TaskID, Revision: c.Revision, Language: c.Task.Language, Result: c.Edit.V.Report}})
}

func (s *Stage) write(ctx context.Context, c store.Claim, project store.Project) (worker.Outcome[Result], error) {
	prompt, err := s.Prompts.Marketing(author.Facts(project))
	if err != nil {
		return worker.Outcome[Result]{}, fmt.Errorf("build the marketing prompt: %w", err)
	}
	doc, rest, err := s.Author.Write(ctx, c, reportPurpose, prompt, func(answer []byte) []prompts.Miss {
		report, err := prompts.DecodeReport(answer)
		if err != nil {
			return author.Unreadable(err)
		}
		return prompts.CheckReport(report, project.Language, project.StoreName)
	})
	if err != nil {
		return worker.Outcome[Result]{}, err
	}
	if rest > 0 {
		return worker.Wait[Result](rest, author.Writing, "The report is being written.")
	}
	return worker.Outcome[Result]{Charges: doc.Charges, Result: Result{Report: &store.Marketing{TaskID: c.TaskID, Revision: c.Revision,
		PlaceID: project.PlaceID, Language: project.Language, Result: json.RawMessage(doc.JSON), Model: doc.Model,
		PromptVersion: doc.Version, PromptHash: doc.Hash}}}, nil
}

// Save writes the report, or links the fresh one.
func (s *Stage) Save(ctx context.Context, tx *store.Tx, c store.Claim, r Result) error {
	if r.Report == nil {
		return tx.UseMarketing(ctx, c.TaskID, r.Fresh)
	}
	return tx.SaveMarketing(ctx, *r.Report)
}
