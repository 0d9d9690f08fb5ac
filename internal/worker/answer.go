package worker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// delivery is a message with what tells whether the broker may have lost its memory since: then the message's number
// may be another one's.
type delivery struct {
	jetstream.Msg
	gone   <-chan struct{} // closed when the connection on which it came has broken
	failed int64           // pulls that had failed
}

// doubtful reports whether the broker may be another one than the one that delivered the message.
func (w *Worker[R]) doubtful(msg jetstream.Msg) bool {
	d, ok := msg.(delivery)
	if !ok {
		return false
	}
	select {
	case <-d.gone:
		return true
	default:
		return d.failed != w.failed.Load()
	}
}

const (
	ackTry      = time.Second // for the broker's word about one acknowledgement
	ackRest     = 200 * time.Millisecond
	ackPatience = 15 * time.Second // longer than an election
	ackUnheard  = 3                // tries that a connected broker leaves without a word
)

// ack tells the broker that a message was dealt with, until the broker says that it has heard. One that was lost in a
// restart or an election would stay queued for the whole AckWait, and for as long nothing new is taken for its run:
// the broker refuses a second message. After a while, and when working ends, it is left at that; and soon where the
// broker is there and says nothing, because it doesn't know the message any more.
func (w *Worker[R]) ack(working context.Context, msg jetstream.Msg) {
	unheard := 0
	for until, first := time.Now().Add(ackPatience), true; ; first = false {
		heard, err := w.tryAck(working, msg, !first || w.doubtful(msg))
		if heard {
			return
		}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) {
			unheard++
		}
		if unheard == ackUnheard || time.Now().After(until) || !rested(working, ackRest) {
			w.Log.Warn().Err(err).Str("subject", msg.Subject()).Msg("acknowledgement wasn't heard")
			return
		}
	}
}

// tryAck reports whether there is no more to be done. Where there is doubt it looks first whether the number is still
// this message's: an acknowledgement goes by the number alone, and would remove whatever has it now.
func (w *Worker[R]) tryAck(working context.Context, msg jetstream.Msg, doubt bool) (bool, error) {
	if !doubt {
		a := &ack{msg: msg, heard: make(chan error, 1)}
		w.acks.Add(a)
		err := <-a.heard
		return err == nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(working), ackTry)
	defer cancel()
	if holds, err := w.Broker.Holds(ctx, msg); err != nil || !holds {
		return err == nil, err
	}
	err := w.Broker.Acknowledge(ctx, []jetstream.Msg{msg})
	return err == nil, err
}

// ack is a message to be acknowledged together with others.
type ack struct {
	msg   jetstream.Msg
	heard chan error
}

const mostAcks = 256

// errDoubtful is of messages whose broker went away while they waited to be acknowledged.
var errDoubtful = errors.New("the broker may be another one now")

// acknowledge tells the broker of all messages at once, and of none that became doubtful since it was handed in.
func (w *Worker[R]) acknowledge(acks []*ack) {
	ctx, cancel := context.WithTimeout(context.Background(), ackTry)
	defer cancel()
	var sure []jetstream.Msg
	var waiting []*ack
	for _, a := range acks {
		if w.doubtful(a.msg) {
			a.heard <- errDoubtful
			continue
		}
		sure, waiting = append(sure, a.msg), append(waiting, a)
	}
	if len(sure) == 0 {
		return
	}
	err := w.Broker.Acknowledge(ctx, sure)
	for _, a := range waiting {
		a.heard <- err
	}
}

// rested waits, and reports false when the context has ended.
func rested(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
