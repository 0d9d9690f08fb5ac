// Package worker is the loop that all six consumers share: take a delivery, claim its run, do the stage's work, settle
// the outcome in the rows, and answer the broker. It alone decides what becomes of a failure. A stage knows nothing of
// NATS; a delivery is only ever a hint, and the row decides. Start with Stage and Worker.Run.
package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"castad/store"
)

// Stage is one of the six steps as its program implements it, with R the result that it makes.
type Stage[R any] interface {
	// Work is slow, may pay, and runs outside any transaction. It may be called any number of times for one run, also by
	// another process after a crash: paid calls go through store.PayOnce, files have deterministic names.
	Work(ctx context.Context, claim store.Claim) (Outcome[R], error)
	// Save is quick, and runs inside the transaction that also completes the run and wants what follows.
	Save(ctx context.Context, tx *store.Tx, claim store.Claim, result R) error
}

// Outcome is what came of an attempt that didn't fail: a result, or a rest until a provider has worked.
type Outcome[R any] struct {
	Result R
	Rest   time.Duration // > 0: wait that long, then look again
	Code   string        // what it waits for; stable, for people and dashboards
	Reason string
	// Charges are what accepted calls of metered providers have cost, as far as they have told.
	Charges []store.Charge
}

// Done is the outcome of a run that has its result.
func Done[R any](result R) (Outcome[R], error) { return Outcome[R]{Result: result}, nil }

// Wait is the outcome of a run whose provider is still working: wake me after rest, or when a callback comes. It holds
// no goroutine and no delivery meanwhile.
func Wait[R any](rest time.Duration, code, reason string) (Outcome[R], error) {
	return Outcome[R]{Rest: max(rest, time.Millisecond), Code: code, Reason: reason}, nil
}

// mostBetweenLooks bounds how rarely a provider is looked at.
const mostBetweenLooks = time.Minute

// LookAgain returns how long to rest before the next look at a job of that age: least at first, an eighth of its age
// later, a minute at most, ±20 % so that jobs of one moment don't come back together.
func LookAgain(age, least time.Duration) time.Duration {
	rest := min(max(least, age/8), mostBetweenLooks)
	return time.Duration(float64(rest) * (0.8 + 0.4*rand.Float64()))
}
