package relay

import (
	"context"
	"slices"
	"time"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/crash"
	"castad/store"
)

// deads files dead letters on their stream, and removes those that were dealt with. The rows say which of both is owed and
// are marked after the broker's answer, so a crash in between does it again; filing twice is refused there, and what
// isn't there can be removed.
func (r *Relay) deads(ctx context.Context) (bool, time.Duration, error) {
	owed, err := r.DB.OwedDead(ctx, r.Window)
	if err != nil || len(owed) == 0 {
		return false, sweepEvery, err
	}
	var file, remove []store.OwedDead
	for _, d := range owed {
		if d.Gone {
			remove = append(remove, d)
		} else {
			file = append(file, d)
		}
	}
	if err = r.removeDead(ctx, remove); err == nil {
		err = r.fileDead(ctx, file)
	}
	return len(owed) == r.Window && err == nil, errorRest, err
}

func (r *Relay) fileDead(ctx context.Context, letters []store.OwedDead) error {
	var sent []string
	err := publishAll(ctx, letters, r.bury, func(d store.OwedDead, _ bool) { sent = append(sent, d.ID) })
	crash.At("relay", "after_publish", "deads")
	if markErr := r.DB.MarkDeadSent(ctx, sent); err == nil {
		err = markErr
	}
	return err
}

func (r *Relay) bury(d store.OwedDead) (broker.Pending, error) {
	return r.Broker.Bury(broker.Letter{
		Dead: events.Dead{Version: events.SchemaVersion, DeadID: d.ID, TaskID: d.TaskID, Stage: d.Stage, Revision: d.Revision,
			Cause: d.Cause, Reason: d.Reason, Attempts: d.Attempts, FirstAt: d.FirstAt, LastAt: d.LastAt},
		Stream: d.Stream, Subject: d.Subject, Seq: d.StreamSeq, Consumer: d.Consumer,
		Program: d.Program, Version: d.ProgramVersion, Traceparent: d.Traceparent,
	})
}

func (r *Relay) removeDead(ctx context.Context, letters []store.OwedDead) error {
	if len(letters) == 0 {
		return nil
	}
	refs := make([]events.DeadRef, len(letters))
	for i, d := range letters {
		refs[i] = events.DeadRef{Stage: d.Stage, TaskID: d.TaskID, DeadID: d.ID}
	}
	var gone []string
	err := r.Broker.Unbury(ctx, refs, func(ref events.DeadRef) { gone = append(gone, ref.DeadID) })
	if markErr := r.DB.MarkDeadGone(ctx, gone); err == nil {
		err = markErr
	}
	return err
}

// recogniseDead compares the dead stream with the rows when the leadership begins, and when the stream isn't the one that
// was there before: letters that it lacks are filed again, and letters that it has back, from a copy or because a publish
// came late, go. Messages that have no row are for people to look at.
func (r *Relay) recogniseDead(ctx context.Context) error {
	created, err := r.Broker.DeadCreated(ctx)
	if err != nil || created.Equal(r.deadCreated) {
		return err
	}
	filed, err := r.DB.RefileDead(ctx)
	if err != nil {
		return err
	}
	removed, err := r.removeStale(ctx)
	if err != nil {
		return err
	}
	r.Log.Info().Int64("filed", filed).Int("removed", removed).Time("stream_created_at", created).Msg("dead stream was compared with the rows")
	r.deadCreated = created
	r.Broker.Wake(events.OwedDead)
	return nil
}

// removeStale takes those letters off the dead stream that were dealt with, and returns how many there were.
func (r *Relay) removeStale(ctx context.Context) (int, error) {
	there, err := r.Broker.DeadRefs(ctx, events.DeadRef{})
	if err != nil {
		return 0, err
	}
	removed := 0
	for refs := range slices.Chunk(there, r.Window) {
		ids := make([]string, len(refs))
		for i, ref := range refs {
			ids[i] = ref.DeadID
		}
		states, err := r.DB.DeadStates(ctx, ids)
		if err != nil {
			return removed, err
		}
		stale := slices.DeleteFunc(refs, func(ref events.DeadRef) bool {
			state, known := states[ref.DeadID]
			return !known || state == store.DeadFiled
		})
		if err := r.Broker.Unbury(ctx, stale, func(events.DeadRef) { removed++ }); err != nil {
			return removed, err
		}
	}
	return removed, nil
}
