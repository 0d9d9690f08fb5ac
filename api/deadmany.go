package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"castad/internal/dead"
	"castad/store"
)

type deadManyInput struct {
	Body struct {
		Stage  string `json:"stage,omitempty" enum:"crawl,intel,lyric,song,video,upload"`
		Cause  string `json:"cause,omitempty" maxLength:"64"`
		TaskID string `json:"task_id,omitempty" maxLength:"36"`
		Since  string `json:"since,omitempty" maxLength:"40" doc:"given up on since then: an instant (RFC 3339), or how long ago: 90m, 2h, 3d" example:"2h"`
		Before string `json:"before,omitempty" maxLength:"40" doc:"given up on before then; as since"`
		Limit  int    `json:"limit,omitempty" minimum:"1" maximum:"1000" default:"500" doc:"the most that this call replays, the oldest first; call again while left isn't 0"`
		DryRun bool   `json:"dry_run,omitempty" doc:"only count"`
	}
}

type deadCountView struct {
	Stage   string    `json:"stage"`
	Cause   string    `json:"cause"`
	Letters int       `json:"letters"`
	First   time.Time `json:"first" doc:"when the first of them was given up on"`
	Last    time.Time `json:"last"`
}

type deadManyOutput struct {
	Body struct {
		DryRun    bool            `json:"dry_run"`
		Matched   int             `json:"matched" doc:"dead letters of runs that were selected when the call came"`
		Replayed  int             `json:"replayed" doc:"by this call"`
		DealtWith int             `json:"dealt_with" doc:"by others, while this call was at work"`
		Left      int             `json:"left" doc:"that are selected now"`
		By        []deadCountView `json:"by" doc:"matched, by stage and cause"`
	}
}

// replayTime is the most that one call spends on replaying; what it doesn't come to is left for the next call.
const replayTime = requestTimeout * 3 / 4

var errTimeUp = errors.New("the time for replaying is up")

func (s *server) replayMany(ctx context.Context, in *deadManyInput) (*deadManyOutput, error) {
	b := in.Body
	query := DeadQuery{Stage: b.Stage, Cause: b.Cause, TaskID: b.TaskID, Since: b.Since, Before: b.Before}
	if query == (DeadQuery{}) {
		return nil, refused("selection_required", "body", problemCodes["selection_required"])
	}
	filter, err := s.filter(ctx, query, "body")
	if err != nil {
		return nil, err
	}
	filter.Limit = b.Limit
	return s.replayed(ctx, filter, b.DryRun)
}

// replayed counts, replays unless it is dry, and counts what is left.
func (s *server) replayed(ctx context.Context, f store.DeadFilter, dry bool) (*deadManyOutput, error) {
	var out deadManyOutput
	counts, err := s.DB.CountDead(ctx, f)
	if err != nil {
		return nil, err
	}
	out.Body.DryRun, out.Body.By, out.Body.Matched = dry, viewCounts(counts), sum(counts)
	if out.Body.Left = out.Body.Matched; dry {
		return &out, nil
	}
	results, err := s.replayEach(ctx, f)
	if err != nil {
		return nil, err
	}
	out.Body.Replayed, out.Body.DealtWith = results[dead.Replayed], results[dead.DealtWith]
	if counts, err = s.DB.CountDead(ctx, f); err != nil {
		return nil, err
	}
	out.Body.Left = sum(counts)
	zerolog.Ctx(ctx).Info().Str("user_uuid", callerOf(ctx).UUID).Str("stage", string(f.Stage)).Str("code", f.Cause).Str("task_id", f.TaskID).
		Time("since", f.Since).Time("before", f.Before).Int("replayed", out.Body.Replayed).Int("left", out.Body.Left).
		Msg("dead letters were replayed by an administrator")
	return &out, nil
}

// replayEach replays the letters of runs that the filter selects and that were there when it began, as far as the time goes.
func (s *server) replayEach(ctx context.Context, f store.DeadFilter) (map[dead.Result]int, error) {
	now, err := s.DB.Now(ctx)
	if err != nil {
		return nil, err
	}
	if f.Before.IsZero() {
		f.Before = now
	}
	rows, results, end := &dead.Office{DB: s.DB}, map[dead.Result]int{}, time.Now().Add(replayTime)
	err = rows.Each(ctx, f, func(l dead.Letter) error {
		if time.Now().After(end) {
			return errTimeUp
		}
		result, err := rows.Replay(ctx, l)
		if err == nil {
			results[result]++
			audit(ctx, "dead letter was replayed by an administrator", l, result)
		}
		return err
	})
	if errors.Is(err, errTimeUp) || errors.Is(err, dead.ErrUnseen) { // without the broker: only rows can be replayed
		err = nil
	}
	return results, err
}

func sum(counts []store.DeadCount) int {
	n := 0
	for _, c := range counts {
		n += c.Letters
	}
	return n
}

func viewCounts(counts []store.DeadCount) []deadCountView {
	views := make([]deadCountView, len(counts))
	for i, c := range counts {
		views[i] = deadCountView{Stage: string(c.Stage), Cause: c.Cause, Letters: c.Letters, First: c.First, Last: c.Last}
	}
	return views
}
