package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/group"
	"castad/internal/pipeline"
	"castad/store"
)

// Settings are how a worker works.
type Settings struct {
	Stage    events.Stage
	Slots    int           // runs worked on at once; 0 means 16
	Lease    time.Duration // 0 means 60 s
	Grace    time.Duration // for running work at the program's end; 0 means 20 s
	Attempts pipeline.Attempts
	Program  string // this process: its lease owner and dead letters' sender
	Version  string // of the program
	Log      zerolog.Logger
}

// Worker takes work of one stage until its context ends.
type Worker[R any] struct {
	Settings
	DB     *store.DB
	Broker *broker.Broker
	Work   Stage[R]

	acks     group.Group[*ack]
	pulling  atomic.Bool        // the subscription lives: the newest pull was answered
	failed   atomic.Int64       // pulls
	consumer jetstream.Consumer // as last looked up; only pull uses it
}

// pullWait is how long one pull request waits at the broker. Short, because nothing ends one early: what the broker has
// sent for a request that nobody waits for any more is delivered again only when its time is over. So a resumed consumer,
// a new connection, and the program's end wait for it.
const pullWait = time.Second

// Run works until ctx ends, then gives running work its grace and returns. It needs neither the broker nor the
// database to be there: it waits, and goes on when they come.
func (w *Worker[R]) Run(ctx context.Context) {
	w.defaults()
	if w.Broker.EnsureUntil(ctx) != nil {
		return
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(w.Grace, stop) })() // then handlers give their runs back
	var running sync.WaitGroup
	w.pull(ctx, working, &running)
	w.pulling.Store(false)
	running.Wait()
}

func (w *Worker[R]) defaults() {
	w.acks.Lanes, w.acks.Most, w.acks.Do = 1, mostAcks, w.acknowledge
	if w.Slots == 0 {
		w.Slots = 16
	}
	if w.Lease == 0 {
		w.Lease = time.Minute
	}
	if w.Grace == 0 {
		w.Grace = 20 * time.Second
	}
	if w.Attempts == (pipeline.Attempts{}) {
		w.Attempts = pipeline.DefaultAttempts
	}
}

// Ready returns nil when the worker pulls and the broker answers.
func (w *Worker[R]) Ready() error {
	if err := w.Broker.Ready(); err != nil {
		return err
	}
	if !w.pulling.Load() {
		return errors.New("no pull request has been answered yet")
	}
	return nil
}

// pull takes as many messages as there are free slots, and never more: a message that waits in a process runs out of
// its time there and is delivered twice.
func (w *Worker[R]) pull(ctx, working context.Context, running *sync.WaitGroup) {
	slots := make(chan struct{}, w.Slots)
	for ctx.Err() == nil {
		free := take(ctx, slots)
		if free == 0 {
			return
		}
		got, err := w.fetch(ctx, free, func(msg jetstream.Msg) {
			running.Go(func() {
				defer func() { <-slots }()
				w.handle(ctx, working, msg)
			})
		})
		for range free - got {
			<-slots
		}
		if err != nil && ctx.Err() == nil {
			w.recover(ctx, err)
		}
	}
}

// take waits for one free slot and takes all that are free.
func take(ctx context.Context, slots chan struct{}) int {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; ; n++ {
		select {
		case slots <- struct{}{}:
		default:
			return n
		}
	}
}

func (w *Worker[R]) fetch(ctx context.Context, free int, start func(jetstream.Msg)) (int, error) {
	if w.consumer == nil {
		consumer, err := w.Broker.Consumer(ctx, w.Stage)
		if err != nil {
			return 0, err
		}
		w.consumer = consumer
	}
	if err := w.Broker.Connected(); err != nil { // nats.go v1.55 never ends the subscription of a pull that it couldn't send
		return 0, err
	}
	gone := w.Broker.Gone()
	batch, err := w.consumer.Fetch(free, jetstream.FetchMaxWait(pullWait))
	if err != nil {
		return 0, err
	}
	w.pulling.Store(true)
	got := 0
	for msg := range batch.Messages() {
		if ctx.Err() != nil {
			_ = msg.Nak() // for another program, at once
			continue
		}
		got++
		start(delivery{Msg: msg, gone: gone, failed: w.failed.Load()})
	}
	return got, batch.Error() // which passes over its end with less than it asked for
}

// recover waits a moment after a failed pull, and declares again what the broker doesn't know. The wait comes first: a
// stream that is made while the broker is still removing the one of that name loses its files to that (nats-server 2.15).
func (w *Worker[R]) recover(ctx context.Context, err error) {
	w.pulling.Store(false)
	w.failed.Add(1)
	w.consumer = nil
	w.Log.Warn().Err(err).Msg("pull failed")
	if rested(ctx, 300*time.Millisecond+rand.N(300*time.Millisecond)) && broker.Missing(err) {
		_ = w.Broker.EnsureUntil(ctx)
	}
}
