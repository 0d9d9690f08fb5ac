package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/crash"
	"castad/internal/fault"
	"castad/store"
)

// newerRest is how long a message of a version that this program doesn't know is left for a newer one.
const newerRest = 30 * time.Second

// handle settles one delivery. ctx ends when the program is told to end; working ends when its grace is over.
func (w *Worker[R]) handle(ctx, working context.Context, msg jetstream.Msg) {
	begun := time.Now()
	wanted, err := events.ParseWanted(msg.Data())
	stage, taskID, subjectErr := w.Broker.Names().ParseWork(msg.Subject())
	switch {
	case err != nil || subjectErr != nil:
		w.unreadable(working, msg, taskID, errors.Join(err, subjectErr))
		return
	case wanted.Version > events.SchemaVersion:
		_ = msg.NakWithDelay(newerRest)
		return
	case wanted.Replay != "" && !w.replay(working, msg, stage, taskID, wanted.Replay):
		return
	}
	crash.At(string(stage), "before_claim", "")
	claim, answer, err := w.claim(working, msg, taskID, stage)
	log := w.Log.With().Str("task_id", taskID).Int("revision", claim.Revision).Int("attempt", claim.Attempt).Logger()
	switch {
	case errors.Is(err, store.ErrNotFound):
		w.bury(working, msg, taskID, "unknown_task", err)
	case err != nil:
		log.Warn().Err(err).Msg("claim failed")
		_ = msg.NakWithDelay(time.Second + rand.N(2*time.Second))
	case answer == store.Idle:
		w.ack(working, msg)
	case answer == store.Busy:
		_ = msg.NakWithDelay(busyRest(claim))
	case answer == store.Exhausted:
		w.settle(working, msg, claim, fault.Stop("attempts_exhausted",
			fmt.Errorf("none of %d attempts came to an end; the last cause was %q", claim.Attempt-1, claim.Code)), log)
	default:
		w.attempt(ctx, working, msg, claim, log.With().Str("trace_id", traceID(claim.Task.Traceparent)).Logger(), begun)
	}
}

// claim takes the run of a delivery. Work of a message that was delivered before may be what ended a program: its attempt
// is counted before it is begun.
func (w *Worker[R]) claim(ctx context.Context, msg jetstream.Msg, taskID string, stage events.Stage) (store.Claim, store.Answer, error) {
	take := w.DB.Claim
	if meta, err := msg.Metadata(); err == nil && meta.NumDelivered == 1 {
		take = w.DB.Begin
	}
	return take(ctx, taskID, stage, w.Program, w.Lease, w.Attempts.Limit)
}

// busyRest is until the other's lease ends; if it is dead, this message is what brings the run back.
func busyRest(claim store.Claim) time.Duration {
	return min(max(time.Until(claim.LeaseUntil.V), time.Second), 2*time.Minute) + rand.N(time.Second)
}

// attempt does the work of a claimed run under its lease, and settles what came of it.
func (w *Worker[R]) attempt(ctx, working context.Context, msg jetstream.Msg, claim store.Claim, log zerolog.Logger, begun time.Time) {
	leased, release := w.keep(log.WithContext(working), msg, claim)
	outcome, err := w.work(leased, claim)
	if err == nil && outcome.Rest > 0 {
		crash.At(string(w.Stage), "before_wait", "")
		err = w.DB.Wait(settling(working), claim, outcome.Rest, outcome.Code, outcome.Reason)
		crash.At(string(w.Stage), "after_wait", "")
	} else if err == nil {
		crash.At(string(w.Stage), "before_save", "")
		err = w.complete(working, claim, outcome)
		crash.At(string(w.Stage), "after_save", "")
	}
	lost := context.Cause(leased)
	release()
	took := log.With().Int64("took_ms", time.Since(begun).Milliseconds()).Logger()
	switch {
	case err == nil:
		took.Info().Dur("rest", outcome.Rest).Msg("delivery settled")
		w.ack(working, msg)
		crash.At(string(w.Stage), "after_ack", "")
	case errors.Is(err, store.ErrLeaseLost) || errors.Is(lost, store.ErrLeaseLost):
		if err := w.DB.SettleEnded(settling(working), claim.Run); err != nil {
			took.Warn().Err(err).Msg("what the run has ordered isn't settled")
		}
		took.Info().Msg("run was taken away")
		_ = msg.Nak() // at once: a newer revision may be waiting behind this message
	case working.Err() != nil:
		w.giveBack(claim, msg, took)
	default:
		w.settle(working, msg, claim, err, took)
	}
}

// settling is a context for writing an outcome: work that was done is written down also when the grace is over.
func settling(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// guarded turns a panic into a permanent failure: the same input would panic again, and the neighbours go on.
func (w *Worker[R]) guarded(ctx context.Context, claim store.Claim) (outcome Outcome[R], err error) {
	defer func() {
		if p := recover(); p != nil {
			zerolog.Ctx(ctx).Error().Interface("panic", p).Bytes("stack", debug.Stack()).Msg("stage panicked")
			err = fault.Stop("internal_error", fmt.Errorf("%s panicked: %v", w.Stage, p))
		}
	}()
	return w.Work.Work(ctx, claim)
}

func (w *Worker[R]) complete(ctx context.Context, claim store.Claim, outcome Outcome[R]) error {
	ctx = settling(ctx)
	return w.DB.Complete(ctx, claim, func(tx *store.Tx) error {
		if err := tx.SettleJobs(ctx, claim.Run, outcome.Charges); err != nil {
			return err
		}
		defer crash.At(string(w.Stage), "in_save", "")
		return w.Work.Save(ctx, tx, claim, outcome.Result)
	})
}

// claimWithin is how long work goes on before its claim is written, where it wasn't at once.
const claimWithin = 3 * time.Millisecond

// work does the stage's work under the claim, which is written when that takes its time.
func (w *Worker[R]) work(ctx context.Context, claim store.Claim) (Outcome[R], error) {
	working, done := context.WithCancelCause(ctx)
	standing := time.AfterFunc(claimWithin, func() {
		if err := claim.Stand(working); errors.Is(err, store.ErrLeaseLost) {
			done(err)
		}
	})
	outcome, err := w.guarded(working, claim)
	standing.Stop()
	done(nil)
	return outcome, err
}

// keep extends the lease in the row and the delivery at the broker together, until release is called. The context ends
// with ErrLeaseLost when the run was cancelled, superseded, or claimed by another.
func (w *Worker[R]) keep(parent context.Context, msg jetstream.Msg, claim store.Claim) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(min(w.Lease, w.Broker.AckWait()) / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			_ = msg.InProgress()
			if err := w.DB.Extend(ctx, claim, w.Lease); errors.Is(err, store.ErrLeaseLost) {
				cancel(store.ErrLeaseLost)
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-ended }
}

// settle writes a failure into the rows as its kind and the attempts so far demand, then answers the broker.
func (w *Worker[R]) settle(ctx context.Context, msg jetstream.Msg, claim store.Claim, cause error, log zerolog.Logger) {
	f := fault.Of(cause)
	verdict := w.Attempts.Judge(f, claim.Attempt, rand.Float64())
	crash.At(string(w.Stage), "before_fail", "")
	err := w.DB.Fail(settling(ctx), claim, verdict, f, w.origin(msg))
	crash.At(string(w.Stage), "after_fail", "")
	log.Warn().Err(cause).Str("code", f.Code).Stringer("kind", f.Kind).Str("status", string(verdict.Status)).Msg("attempt failed")
	switch {
	case err == nil:
		w.ack(ctx, msg)
	case errors.Is(err, store.ErrLeaseLost):
		_ = msg.Nak()
	default: // the database is away: the lease will end, and the broker delivers again
		log.Warn().Err(err).Msg("outcome not written")
		_ = msg.NakWithDelay(w.Lease)
	}
}

func (w *Worker[R]) origin(msg jetstream.Msg) store.Origin {
	from := store.Origin{Subject: msg.Subject(), Program: w.Program, Version: w.Version}
	if meta, err := msg.Metadata(); err == nil {
		from.Stream, from.Consumer, from.Seq = meta.Stream, meta.Consumer, meta.Sequence.Stream
	}
	return from
}

// giveBack returns a run whose work the program's end has cut short; the attempt doesn't count.
func (w *Worker[R]) giveBack(claim store.Claim, msg jetstream.Msg, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.DB.Release(ctx, claim); err != nil {
		log.Warn().Err(err).Msg("run not given back; its lease will end by itself")
	}
	_ = msg.Nak()
}

// unreadable buries a message that has no row to fail.
func (w *Worker[R]) unreadable(ctx context.Context, msg jetstream.Msg, taskID string, cause error) {
	w.bury(ctx, msg, taskID, "unreadable", cause)
}

// bury publishes a dead letter first and ends the message after: a crash in between buries it twice, under one id.
func (w *Worker[R]) bury(ctx context.Context, msg jetstream.Msg, taskID, cause string, err error) {
	from := w.origin(msg)
	now := time.Now().UTC()
	letter := broker.Letter{
		Dead: events.Dead{Version: events.SchemaVersion, DeadID: fmt.Sprintf("%s-%d", from.Stream, from.Seq), TaskID: broker.Token(taskID),
			Stage: w.Stage, Cause: cause, Reason: broker.Head(err.Error()), FirstAt: now, LastAt: now, Body: broker.Head(string(msg.Data()))},
		Stream: from.Stream, Subject: from.Subject, Seq: from.Seq, Consumer: from.Consumer, Program: w.Program, Version: w.Version,
	}
	pending, err := w.Broker.Bury(letter)
	if err == nil {
		_, err = pending.Kept(ctx)
	}
	if err != nil {
		w.Log.Warn().Err(err).Str("code", cause).Msg("dead letter not filed")
		_ = msg.NakWithDelay(5 * time.Second)
		return
	}
	w.Log.Warn().Str("task_id", taskID).Str("code", cause).Msg("message buried")
	_ = msg.TermWithReason(cause)
}

// traceID takes the trace's id out of a W3C traceparent ("00-<trace>-<span>-01"), or returns "".
func traceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 {
		return ""
	}
	return parts[1]
}
