package relay

import (
	"context"
	"time"

	"castad/internal/broker"
	"castad/internal/crash"
	"castad/store"
)

// runs files work for the runs that are due. The rows aren't marked before the broker has answered, so a crash in
// between files them again, and the broker or the claim makes that harmless.
func (r *Relay) runs(ctx context.Context) (bool, time.Duration, error) {
	due, err := r.DB.DueRuns(ctx, r.Window)
	if err != nil || len(due) == 0 {
		next, nextErr := r.DB.NextDue(ctx, sweepEvery)
		if err == nil {
			err = nextErr
		}
		return false, next, err
	}
	crash.At("relay", "after_read", "runs")
	var taken, refused []store.Due
	var filed []broker.Pending
	file := func(d store.Due) (broker.Pending, error) {
		p, err := File(r.Broker, d)
		if err == nil {
			filed = append(filed, p)
		}
		return p, err
	}
	err = publishAll(ctx, due, file, func(d store.Due, fresh bool) {
		if fresh {
			taken = append(taken, d)
		} else {
			refused = append(refused, d)
		}
	})
	r.work.filed(filed)
	crash.At("relay", "after_publish", "runs")
	if markErr := r.DB.MarkTaken(ctx, taken); markErr != nil {
		return false, errorRest, markErr
	}
	if markErr := r.DB.MarkRefused(ctx, refused); markErr != nil {
		return false, errorRest, markErr
	}
	crash.At("relay", "after_mark", "runs")
	return len(due) == r.Window && err == nil, 0, err
}

// facts publishes events in the order of their commits.
func (r *Relay) facts(ctx context.Context) (bool, time.Duration, error) {
	unsent, err := r.DB.UnsentEvents(ctx, r.Window)
	if err != nil || len(unsent) == 0 {
		return false, sweepEvery, err
	}
	crash.At("relay", "after_read", "facts")
	var sent []int64
	err = publishAll(ctx, unsent, r.tell, func(u store.Unsent, _ bool) { sent = append(sent, u.ID) })
	crash.At("relay", "after_publish", "facts")
	if len(sent) > 0 {
		if markErr := r.DB.MarkSent(ctx, sent); markErr != nil {
			return false, errorRest, markErr
		}
	}
	crash.At("relay", "after_mark", "facts")
	return len(unsent) == r.Window && err == nil, 0, err
}

func (r *Relay) tell(u store.Unsent) (broker.Pending, error) {
	id, trace := u.EventIDAndTrace()
	return r.Broker.Tell(u.Fact(), id, trace)
}

// publishAll sends a whole window before it waits for the first answer. kept is called for each row that the broker
// has, in order; after the first that it hasn't, no more, so that what is published again keeps its order.
func publishAll[R any](ctx context.Context, rows []R, publish func(R) (broker.Pending, error), kept func(row R, fresh bool)) error {
	pending := make([]broker.Pending, 0, len(rows))
	var failed error
	for _, row := range rows {
		p, err := publish(row)
		if err != nil {
			failed = err
			break
		}
		pending = append(pending, p)
	}
	for i, p := range pending {
		fresh, err := p.Kept(ctx)
		if err != nil {
			return err
		}
		kept(rows[i], fresh)
	}
	return failed
}
