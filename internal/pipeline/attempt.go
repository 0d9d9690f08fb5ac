package pipeline

import (
	"time"

	"castad/internal/fault"
)

// Attempts bounds how often a run is tried and how long it rests in between.
type Attempts struct {
	Limit int           // claims that count, before the run is given up
	First time.Duration // the rest after the first failure; it doubles
	Most  time.Duration // the longest rest
}

// DefaultAttempts suit providers that recover within some minutes: eight tries over about a quarter of an hour.
var DefaultAttempts = Attempts{Limit: 8, First: 2 * time.Second, Most: 5 * time.Minute}

// Rest returns how long to wait after the attempt of that number (from 1). spread in [0,1) varies it by ±20 %, so that
// what failed together doesn't come back together.
func (a Attempts) Rest(attempt int, spread float64) time.Duration {
	rest := a.First
	for i := 1; i < attempt && rest < a.Most; i++ {
		rest *= 2
	}
	return time.Duration(float64(min(rest, a.Most)) * (0.8 + 0.4*spread))
}

// Verdict is what becomes of a run after a failed attempt.
type Verdict struct {
	Status   Status        // Pending, Waiting or Failed
	After    time.Duration // Pending: the rest; 0 where Until is set
	Until    time.Time     // Pending: not before this
	GiveBack bool          // the attempt doesn't count
	Code     string
}

// Judge says what becomes of a run whose attempt (from 1) failed with f.
func (a Attempts) Judge(f *fault.Error, attempt int, spread float64) Verdict {
	switch f.Kind {
	case fault.Permanent:
		return Verdict{Status: Failed, Code: f.Code}
	case fault.Uncertain:
		return Verdict{Status: Waiting, Code: f.Code}
	case fault.RateLimited:
		return Verdict{Status: Pending, Until: f.Until, GiveBack: true, Code: f.Code}
	}
	if attempt >= a.Limit {
		return Verdict{Status: Failed, Code: f.Code}
	}
	return Verdict{Status: Pending, After: a.Rest(attempt, spread), Code: f.Code}
}
