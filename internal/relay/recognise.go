package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"castad/events"
	"castad/internal/broker"
)

// memory is what the relay knows of the work stream, to notice when the broker comes back with less than it had: with a
// new disk, or, after a power cut, with an older state of its disk.
type memory struct {
	mu      sync.Mutex
	created time.Time
	highest uint64 // number that the stream gave to a message of the relay
	last    uint64 // that the stream had when it was looked at; other programs file too
	back    bool   // a number was given again
}

// filed notes the numbers that a window's messages got.
func (m *memory) filed(window []broker.Pending) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.highest
	for _, p := range window {
		if seq := p.Seq(); seq > 0 {
			m.back = m.back || seq <= before
			m.highest = max(m.highest, seq)
		}
	}
}

// known returns the highest number so far. It is taken before the stream is asked: more may be filed meanwhile.
func (m *memory) known() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(m.highest, m.last)
}

// same reports whether the stream is as it was, when the highest number was known before it was asked, and notes its last.
func (m *memory) same(created time.Time, last, known uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !created.Equal(m.created) || last < known || m.back {
		return false
	}
	m.last = max(m.last, last)
	return true
}

func (m *memory) learn(created time.Time, last uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.created, m.highest, m.last, m.back = created, last, last, false
}

// recognise looks whether the work stream is the one that was there before, with all that it had. If not, or at the
// start, everything that was filed and not claimed is due again; the broker refuses what it still has. A stream with a
// consumer that can't be had any more is scrapped first.
func (r *Relay) recognise(ctx context.Context) error {
	known := r.work.known()
	if errors.Is(r.Broker.Ready(), broker.ErrSpoiled) || r.orphaned(ctx) {
		r.Log.Warn().Msg("the broker can't open a consumer's store: the work stream is made anew")
		if err := r.Broker.Scrap(ctx); err != nil {
			return err
		}
		r.leaderless = time.Time{}
	}
	created, last, err := r.Broker.WorkState(ctx)
	if broker.Missing(err) {
		// A stream that is made while the broker is still removing the one of that name loses its files to that.
		if !rest(ctx, errorRest) {
			return ctx.Err()
		}
		if err := r.Broker.Ensure(ctx); err != nil {
			return err
		}
		created, last, err = r.Broker.WorkState(ctx)
	}
	if err != nil || r.work.same(created, last, known) {
		return err
	}
	n, err := r.DB.MakeAllDue(ctx)
	if err != nil {
		return err
	}
	r.Log.Info().Int64("runs", n).Time("stream_created_at", created).Msg("runs are filed again for a broker that wasn't known")
	r.work.learn(created, last)
	r.deadCreated = time.Time{} // what the work stream lost, the dead stream may have lost too
	r.Broker.Wake(events.OwedRuns)
	return nil
}

// orphaned reports whether a consumer is known to have been without a leader for longer than any election takes. A look
// that nobody answers says nothing.
func (r *Relay) orphaned(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	stage, err := r.Broker.Leaderless(ctx)
	switch {
	case err != nil:
		return false
	case stage == "":
		r.leaderless = time.Time{}
		return false
	case r.leaderless.IsZero():
		r.leaderless = time.Now()
	}
	return time.Since(r.leaderless) > r.Election
}
