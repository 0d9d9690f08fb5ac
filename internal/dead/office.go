// Package dead is where operators deal with dead letters: the rows of what was given up on, and the messages that lie on
// the dead stream alone because they belong to no run. The command line and the HTTP API both stand on it. Start with
// Office.
package dead

import (
	"context"
	"errors"
	"fmt"

	"castad/events"
	"castad/internal/broker"
	"castad/store"
)

// Office lists, finds, replays and drops. It is safe for concurrent use, also by many processes at once.
type Office struct {
	DB     *store.DB
	Broker *broker.Broker // nil: messages that have no row aren't seen
}

// Letter is a dead letter.
type Letter struct {
	store.Dead
	OnStream bool   // it has no row and no run: it can be looked at and dropped, but not replayed
	Body     string // OnStream: the beginning of the message
}

// ErrUnseen is returned by Find and Each, after all that they could do, when the dead stream couldn't be asked for the
// messages that have no row.
var ErrUnseen = errors.New("the broker couldn't be asked for messages that have no row")

// Find returns one letter, whatever has become of it. Errors: store.ErrNotFound; ErrUnseen when it has no row and the
// broker, which is known, is away.
func (o *Office) Find(ctx context.Context, id string) (Letter, error) {
	row, err := o.DB.LoadDead(ctx, id)
	if err == nil || !errors.Is(err, store.ErrNotFound) || o.Broker == nil {
		return Letter{Dead: row}, err
	}
	refs, streamErr := o.refs(ctx, events.DeadRef{DeadID: id})
	if streamErr != nil {
		return Letter{}, fmt.Errorf("%w: %w", ErrUnseen, streamErr)
	}
	if len(refs) == 0 {
		return Letter{}, err
	}
	letter, streamErr := o.read(ctx, refs[0])
	if errors.Is(streamErr, broker.ErrGone) {
		return Letter{}, err
	}
	return letter, streamErr
}

// Result is what a replay or a drop came to.
type Result string

// The results. All but NoRun leave nothing to be done.
const (
	Replayed  Result = "replayed"
	Dropped   Result = "dropped"
	DealtWith Result = "dealt with before" // by somebody else, or its run was retried or made again
	NoRun     Result = "has no run"        // a message on the stream alone: it can only be dropped
)

// Replay sets the run of a letter to pending again. Doing it twice, or by many at once, does it once.
func (o *Office) Replay(ctx context.Context, l Letter) (Result, error) {
	if l.OnStream {
		return NoRun, nil
	}
	done, err := o.DB.Replay(ctx, l.ID)
	return either(done, Replayed), err
}

// Drop takes a letter off the list for good; its run stays failed. Doing it twice does it once.
func (o *Office) Drop(ctx context.Context, l Letter) (Result, error) {
	if !l.OnStream {
		done, err := o.DB.Drop(ctx, l.ID)
		return either(done, Dropped), err
	}
	ref := events.DeadRef{Stage: l.Stage, TaskID: l.TaskID, DeadID: l.ID}
	return Dropped, o.Broker.Unbury(ctx, []events.DeadRef{ref}, func(events.DeadRef) {})
}

func either(done bool, result Result) Result {
	if done {
		return result
	}
	return DealtWith
}

func (o *Office) refs(ctx context.Context, like events.DeadRef) ([]events.DeadRef, error) {
	if o.Broker == nil {
		return nil, errors.New("its address isn't set")
	}
	return o.Broker.DeadRefs(ctx, like)
}

// read returns a message of the dead stream as a letter. Errors: broker.ErrGone.
func (o *Office) read(ctx context.Context, ref events.DeadRef) (Letter, error) {
	l, err := o.Broker.LoadLetter(ctx, ref)
	if err != nil {
		return Letter{}, err
	}
	return Letter{OnStream: true, Body: l.Body, Dead: store.Dead{ID: l.DeadID, TaskID: l.TaskID, Stage: l.Stage, Revision: l.Revision,
		Cause: l.Cause, Reason: l.Reason, Attempts: l.Attempts, Stream: l.Stream, Subject: l.Subject, StreamSeq: l.Seq,
		Consumer: l.Consumer, Program: l.Program, ProgramVersion: l.Version, Traceparent: l.Traceparent,
		FirstAt: l.FirstAt, LastAt: l.LastAt, State: store.DeadFiled}}, nil
}
