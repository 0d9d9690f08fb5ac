package limit

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// breaker keeps calls away from a Redis that has failed: until it answers again, one call asks it in each pause, and all
// others know without asking. A single late answer doesn't count as that: on a machine that is flooded some are late, and
// that is when limits are needed. The zero value is ready.
type breaker struct {
	mu       sync.Mutex
	failures int       // since the last answer
	next     time.Time // when one call may ask, once there were too many
}

const (
	pause     = time.Second
	tolerated = 2 // failures in a row
)

// admits reports whether a call may ask.
func (b *breaker) admits(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures <= tolerated {
		return true
	}
	if now.Before(b.next) {
		return false
	}
	b.next = now.Add(pause)
	return true
}

// heard tells how asking went.
func (b *breaker) heard(now time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.failures = 0
		return
	}
	b.failures++
	b.next = now.Add(pause)
}

// teller tells operators that calls aren't counted, and that they are again.
type teller struct {
	log       zerolog.Logger
	mu        sync.Mutex
	last      time.Time // of the last warning
	warned    bool      // nothing else was told since
	uncounted int       // calls since the last warning
}

const betweenWarnings = time.Minute

// missed counts a call that wasn't counted.
func (t *teller) missed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.uncounted++
}

// trouble warns, at most once a minute.
func (t *teller) trouble(now time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.last.IsZero() && now.Sub(t.last) < betweenWarnings {
		return
	}
	t.log.Warn().Err(err).Int("uncounted", t.uncounted).Msg("limits weren't counted")
	t.last, t.warned, t.uncounted = now, true, 0
}

// well tells once that a trouble is over.
func (t *teller) well() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.warned {
		t.warned = false
		t.log.Info().Msg("limits are counted again")
	}
}
