package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/config"
	"castad/internal/dead"
	"castad/store"
)

type deadCommands struct {
	Ls     deadList   `cmd:"" help:"List dead letters, oldest first. Ends with 0 when there are none, with 3 when there are some."`
	Show   deadShow   `cmd:"" help:"Show one dead letter, whatever has become of it."`
	Replay deadReplay `cmd:"" help:"Run what was given up on again, from its first attempt. Doing it twice is harmless. Ends with 0 when nothing of the selection is left, with 3 when something is."`
	Drop   deadDrop   `cmd:"" help:"Take dead letters off the list for good; their stages stay failed. Ends like replay."`
}

// which selects dead letters.
type which struct {
	ID     []string `arg:"" optional:"" help:"Ids of dead letters; they go before all other selection."`
	Stage  string   `help:"Only of this stage." enum:",crawl,intel,lyric,song,video,upload" default:""`
	Cause  string   `help:"Only with this cause."`
	Task   string   `help:"Only of this task."`
	Since  string   `help:"Only given up on since then: 2026-11-23T08:00:00Z, or how long ago: 90m, 2h, 3d."`
	Before string   `help:"Only given up on before then; as --since."`
	Limit  int      `help:"At most so many, the oldest first; 0 for all." default:"0"`
	JSON   bool     `help:"One JSON object a line instead of a table." name:"json"`
}

// everything reports whether nothing is selected.
func (w which) everything() bool {
	return len(w.ID) == 0 && w.Stage == "" && w.Cause == "" && w.Task == "" && w.Since == "" && w.Before == ""
}

// filter returns the selection that isn't by id. Times ago are taken by the database's clock, as the letters' times are.
func (w which) filter(now time.Time) (store.DeadFilter, error) {
	since, err := dead.ParseTime(w.Since, now)
	if err != nil {
		return store.DeadFilter{}, fmt.Errorf("--since: %w", err)
	}
	before, err := dead.ParseTime(w.Before, now)
	if err != nil {
		return store.DeadFilter{}, fmt.Errorf("--before: %w", err)
	}
	if w.Limit < 0 {
		return store.DeadFilter{}, errors.New("--limit: a number from 0 is wanted")
	}
	return store.DeadFilter{Stage: events.Stage(w.Stage), Cause: w.Cause, TaskID: w.Task, Since: since, Before: before, Limit: w.Limit}, nil
}

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	text string
}

// Error returns the sentence for people.
func (e *exitError) Error() string { return e.text }

// codeLeft is the exit code that says that dead letters are left.
const codeLeft = 3

// left is the error that says so; nil when there are none.
func left(n int) error {
	if n == 0 {
		return nil
	}
	return &exitError{code: codeLeft, text: "left: " + deadLetters(n)}
}

// office opens the database and, where its address is known, the broker; close ends both.
func (s *session) office() (office *dead.Office, close func(), err error) {
	db, err := s.store()
	if err != nil {
		return nil, nil, err
	}
	office = &dead.Office{DB: db}
	if s.getenv("CASTAD_NATS_URL") == "" {
		return office, func() { db.Close() }, nil
	}
	if office.Broker, err = s.broker(); err != nil {
		db.Close()
		return nil, nil, err
	}
	db.Nudge = office.Broker.Wake
	return office, func() { office.Broker.Close(); db.Close() }, nil
}

// broker connects to CASTAD_NATS_URL, with the names that CASTAD_PREFIX gives.
func (s *session) broker() (*broker.Broker, error) {
	prefix := s.getenv("CASTAD_PREFIX")
	if prefix == "" {
		prefix = "castad"
	}
	names, err := config.Common{Prefix: prefix}.Names()
	if err != nil {
		return nil, err
	}
	return broker.Connect(broker.Settings{URL: s.getenv("CASTAD_NATS_URL"), Name: "castad", Names: names, Log: zerolog.Nop()})
}

type deadList struct{ which }

// Run lists.
func (c *deadList) Run(s *session) error {
	office, end, err := s.office()
	if err != nil {
		return err
	}
	defer end()
	listed := 0
	table := newDeadTable(s.out, c.JSON)
	err = c.each(s.ctx, office, func(l dead.Letter) error {
		if l.State != store.DeadFiled {
			return nil
		}
		listed++
		return table.letter(l)
	})
	if err := errors.Join(err, table.flush()); err != nil {
		return unseen(err)
	}
	return left(listed)
}

// each calls do for the selected letters.
func (w which) each(ctx context.Context, office *dead.Office, do func(dead.Letter) error) error {
	if len(w.ID) > 0 {
		for _, id := range w.ID {
			letter, err := office.Find(ctx, id)
			if err != nil {
				return findError(office, id, err)
			}
			if err := do(letter); err != nil {
				return err
			}
		}
		return nil
	}
	now, err := office.DB.Now(ctx)
	if err != nil {
		return fmt.Errorf("ask for the time: %w", err)
	}
	filter, err := w.filter(now)
	if err != nil {
		return err
	}
	if filter.Before.IsZero() { // what is replayed and fails again must not be replayed for ever
		filter.Before = now
	}
	return office.Each(ctx, filter, do)
}

func findError(office *dead.Office, id string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound) && office.Broker == nil:
		return fmt.Errorf("no run's dead letter has the id %q; with CASTAD_NATS_URL set, messages that have no run are looked at too", id)
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("no dead letter has the id %q; 'castad dead ls' lists them", id)
	}
	return fmt.Errorf("find dead letter %s: %w", id, err)
}

// unseen says what to do when only the rows could be dealt with.
func unseen(err error) error {
	if errors.Is(err, dead.ErrUnseen) {
		return fmt.Errorf("all rows were looked at, but %w (CASTAD_NATS_URL)", err)
	}
	return err
}

type deadShow struct {
	ID   string `arg:"" help:"Id of a dead letter."`
	JSON bool   `help:"As JSON." name:"json"`
}

// Run shows one letter.
func (c *deadShow) Run(s *session) error {
	office, end, err := s.office()
	if err != nil {
		return err
	}
	defer end()
	letter, err := office.Find(s.ctx, c.ID)
	if err != nil {
		return findError(office, c.ID, err)
	}
	if c.JSON {
		return printJSON(s.out, viewDead(letter))
	}
	return showDead(s.out, letter)
}
