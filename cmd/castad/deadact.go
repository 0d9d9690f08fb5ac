package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"castad/internal/dead"
	"castad/store"
)

// acting are the flags of what changes something.
type acting struct {
	which
	All  bool `help:"All of them, where nothing else selects."`
	Do   bool `help:"Do it. Without this flag only what would be done is shown."`
	Rate int  `help:"At most so many a second; 0 for no bound." default:"20"`
}

type deadReplay struct{ acting }

// Run replays the selected letters.
func (c *deadReplay) Run(s *session) error {
	return c.act(s, "replayed", (*dead.Office).Replay)
}

type deadDrop struct{ acting }

// Run drops the selected letters.
func (c *deadDrop) Run(s *session) error {
	return c.act(s, "dropped", (*dead.Office).Drop)
}

// deed is what is done to a letter.
type deed func(*dead.Office, context.Context, dead.Letter) (dead.Result, error)

// act shows what would be done, or does it.
func (a acting) act(s *session, done string, do deed) error {
	switch {
	case a.everything() && !a.All:
		return errors.New("say which: ids, --stage, --cause, --task, --since, --before or --all")
	case a.Rate < 0 || a.Rate > 10_000:
		return errors.New("--rate: a number from 0 to 10000 is wanted")
	}
	office, end, err := s.office()
	if err != nil {
		return err
	}
	defer end()
	if !a.Do {
		return a.preview(s, office, done)
	}
	return a.perform(s, office, do)
}

// preview counts by stage and cause. It reads no rows where the selection is by a filter.
func (a acting) preview(s *session, office *dead.Office, done string) error {
	counts, err := a.counts(s.ctx, office)
	if err != nil && !errors.Is(err, dead.ErrUnseen) {
		return err
	}
	total, err := 0, errors.Join(err, printCounts(s.out, counts, a.JSON))
	for _, c := range counts {
		total += c.Letters
	}
	if total > 0 && !a.JSON {
		fmt.Fprintf(s.out, "%s would be %s. Nothing was done: add --do to do it.\n", a.some(total), done)
	}
	if err != nil {
		return unseen(err)
	}
	return left(total)
}

func (a acting) some(total int) string {
	if a.Limit > 0 && a.Limit < total {
		return fmt.Sprintf("The oldest %d of %d dead letters", a.Limit, total)
	}
	return deadLetters(total)
}

func (a acting) counts(ctx context.Context, office *dead.Office) ([]dead.Count, error) {
	if len(a.ID) > 0 {
		var counts dead.Counts
		err := a.each(ctx, office, func(l dead.Letter) error {
			if l.State == store.DeadFiled {
				counts.Add(l)
			}
			return nil
		})
		return counts.Sorted(), err
	}
	now, err := office.DB.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the time: %w", err)
	}
	filter, err := a.filter(now)
	if err != nil {
		return nil, err
	}
	return office.Count(ctx, filter)
}

// perform goes through the selection at its rate. What it can't do, and what --limit has kept from it, is left.
func (a acting) perform(s *session, office *dead.Office, do deed) error {
	table, results, beat := newDeadTable(s.out, a.JSON), map[dead.Result]int{}, newPace(a.Rate)
	defer beat.stop()
	err := a.each(s.ctx, office, func(l dead.Letter) error {
		if err := beat.wait(s.ctx); err != nil {
			return err
		}
		result, err := do(office, s.ctx, l)
		if err != nil {
			return fmt.Errorf("dead letter %s: %w", l.ID, err)
		}
		results[result]++
		return table.done(l, result)
	})
	if err := errors.Join(err, table.flush()); err != nil {
		return unseen(err)
	}
	if !a.JSON {
		printResults(s.out, results)
	}
	return a.leftover(s.ctx, office, results[dead.NoRun])
}

// leftover counts what is still selected. Letters by id are all done but those that can't be.
func (a acting) leftover(ctx context.Context, office *dead.Office, undone int) error {
	if len(a.ID) > 0 {
		return left(undone)
	}
	counts, err := a.counts(ctx, office)
	if err != nil {
		return unseen(err)
	}
	total := 0
	for _, c := range counts {
		total += c.Letters
	}
	return left(total)
}

// pace bounds how many things are done a second.
type pace struct{ ticker *time.Ticker }

func newPace(perSecond int) pace {
	if perSecond == 0 {
		return pace{}
	}
	return pace{time.NewTicker(time.Second / time.Duration(perSecond))}
}

func (p pace) wait(ctx context.Context) error {
	if p.ticker == nil {
		return ctx.Err()
	}
	select {
	case <-p.ticker.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p pace) stop() {
	if p.ticker != nil {
		p.ticker.Stop()
	}
}
