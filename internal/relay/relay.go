// Package relay carries what the rows say to the broker: work for runs that are due, facts, and dead letters. The rows
// are the outbox (docs/adr/0001), so what is published here can always be published again, and a broker that comes
// back empty is refilled. One relay publishes at a time, for the order of facts; others stand by. Start with Relay.Run.
package relay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"castad/events"
	"castad/internal/broker"
	"castad/store"
)

// Relay publishes for one installation.
type Relay struct {
	DB     *store.DB
	Broker *broker.Broker
	Lock   string // the name of the lock that makes it the only one; one a database
	Window int    // rows read and published together; 0 means 500
	// Election is how long a consumer of a cluster may be without a leader before its stream is made anew; 0 means 30 s.
	Election time.Duration
	// Metrics takes the gauges of what is owed and stranded; nil for none.
	Metrics prometheus.Registerer
	Log     zerolog.Logger

	gauges      *gauges
	leading     atomic.Bool
	work        memory    // of the work stream
	deadCreated time.Time // of the dead stream as last compared with the rows
	leaderless  time.Time // since when a consumer has had no leader; zero while all have one
}

const (
	sweepEvery   = time.Second     // the guarantee; the nudge is what makes it quick
	standbyEvery = time.Second     // between two tries to become the one
	guardEvery   = 2 * time.Second // between two looks at the lock and at the broker's identity
	errorRest    = 500 * time.Millisecond
	askWithin    = 2 * time.Second // a cluster without a leader answers late or never
)

// Ready returns nil when the broker and the database answer. A relay that stands by is ready.
func (r *Relay) Ready() error { return r.Broker.Ready() }

// Leading reports whether this is the relay that publishes.
func (r *Relay) Leading() bool { return r.leading.Load() }

// Run works until ctx ends. It needs neither the broker nor the database to be there.
func (r *Relay) Run(ctx context.Context) {
	if r.Window == 0 {
		r.Window = 500
	}
	if r.Election == 0 {
		r.Election = 30 * time.Second
	}
	var err error
	if r.gauges, err = newGauges(r.Metrics); err != nil {
		r.Log.Error().Err(err).Msg("metrics don't show the relay")
	}
	for ctx.Err() == nil {
		if err := r.lead(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn().Err(err).Msg("relay stopped publishing")
		}
		rest(ctx, standbyEvery)
	}
}

// lead publishes for as long as the lock is ours. It returns nil at once when another relay has it.
func (r *Relay) lead(ctx context.Context) error {
	if err := r.Broker.EnsureUntil(ctx, broker.ErrSpoiled); err != nil && !errors.Is(err, broker.ErrSpoiled) { // guard mends that
		return err
	}
	lock, err := r.DB.BecomeRelay(ctx, r.Lock)
	if err != nil || lock == nil {
		return err
	}
	defer lock.Stop(context.WithoutCancel(ctx))
	r.leading.Store(true)
	defer r.leading.Store(false)
	r.gauges.lead()
	defer r.gauges.rest()
	r.deadCreated, r.leaderless = time.Time{}, time.Time{} // another relay may have left something undone
	r.Log.Info().Msg("relay publishes")
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.guard(ctx, lock) })
	for owed, step := range map[events.Owed]step{events.OwedRuns: r.runs, events.OwedFacts: r.facts, events.OwedDead: r.deads} {
		group.Go(func() error { return r.pump(ctx, owed, step) })
	}
	return group.Wait()
}

// guard ends the leadership when the lock is lost, and refills a broker that has lost its messages.
func (r *Relay) guard(ctx context.Context, lock *store.Relaying) error {
	for {
		if err := lock.Still(ctx); err != nil {
			return fmt.Errorf("the relay's lock is lost: %w", err)
		}
		if err := r.recognise(ctx); err != nil {
			r.Log.Warn().Err(err).Msg("broker not recognised")
		}
		if err := r.recogniseDead(ctx); err != nil {
			r.Log.Warn().Err(err).Msg("dead stream not compared with the rows")
		}
		if err := r.measure(ctx); err != nil {
			r.Log.Warn().Err(err).Msg("relay not measured")
		}
		if !rest(ctx, guardEvery) {
			return ctx.Err()
		}
	}
}

// step publishes one window. It reports whether there may be more, and else when to look again at the latest.
type step func(ctx context.Context) (more bool, next time.Duration, err error)

// pump runs a step whenever it is nudged, when its own time has come, and every second.
func (r *Relay) pump(ctx context.Context, owed events.Owed, do step) error {
	woken := make(chan struct{}, 1)
	err := r.Broker.Woken(ctx, owed, func() {
		select {
		case woken <- struct{}{}:
		default: // a nudge that comes while the relay works is remembered once
		}
	})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		more, next, err := do(ctx)
		switch {
		case errors.Is(err, context.Canceled):
			return err
		case err != nil:
			r.Log.Warn().Err(err).Str("what", string(owed)).Msg("publishing failed")
			next = errorRest
		case more:
			continue
		}
		timer := time.NewTimer(min(next, sweepEvery))
		select {
		case <-woken:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return ctx.Err()
}

// rest waits, and reports false when the context has ended.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
