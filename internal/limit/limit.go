// Package limit counts calls in Redis, for all servers together, and says which may pass. It knows nothing of HTTP, and
// doesn't decide what becomes of a call that can't be counted: it tells so quickly. Start with Open and Limiter.Take.
package limit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"
)

func init() {
	// The client writes lines of its own to stderr; what went wrong is told once a minute by us.
	redis.SetLogger(&logging.VoidLogger{})
}

// Settings are what a Limiter needs.
type Settings struct {
	URL      string                // redis://user:password@host:port/number; rediss:// with TLS
	Prefix   string                // of keys: those who share a prefix share their limits
	Patience time.Duration         // the most that a call may lose to a slow Redis; 0 means 25 ms
	Log      zerolog.Logger        // hears of a Redis that is away, at most once a minute
	Metrics  prometheus.Registerer // nil for none
	Now      func() time.Time      // nil means time.Now. Rates go by the clock of Redis.
}

const (
	patience = 25 * time.Millisecond
	// insistence is what an insisting call waits: refusing it does harm, so it is no matter of milliseconds.
	insistence  = time.Second
	connections = 64
)

// Limiter counts calls. It may be used by many goroutines.
type Limiter struct {
	client    *redis.Client
	script    *redis_rate.Limiter
	prefix    string
	quick     line
	insisting line
	now       func() time.Time
	told      teller
	decisions *prometheus.CounterVec
}

// line is a way to ask Redis: how long to wait, and whether to ask at all.
type line struct {
	patience time.Duration
	breaker  breaker
}

// Open prepares a Limiter. Redis doesn't have to be there yet.
func Open(s Settings) (*Limiter, error) {
	options, err := redis.ParseURL(s.URL)
	if err != nil { // not wrapped: it may hold the password
		return nil, errors.New("the Redis URL isn't of the form redis://user:password@host:port/number")
	}
	insisting := max(insistence, s.Patience)
	options.ContextTimeoutEnabled, options.MaxRetries, options.DialerRetries = true, -1, 1
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = insisting, insisting, insisting
	options.PoolSize, options.Protocol, options.DisableIdentity = max(options.PoolSize, connections), 2, true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if s.Patience == 0 {
		s.Patience = patience
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	decisions, err := register(s.Metrics)
	if err != nil {
		return nil, err
	}
	client := redis.NewClient(options)
	return &Limiter{client: client, script: redis_rate.NewLimiter(client), prefix: s.Prefix, now: s.Now, told: teller{log: s.Log},
		decisions: decisions, quick: line{patience: s.Patience}, insisting: line{patience: insisting}}, nil
}

// Close ends the connections.
func (l *Limiter) Close() error {
	if err := l.client.Close(); err != nil {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// Call is what wants to pass.
type Call struct {
	Limit  string // the limit's name
	Of     string // whose call it is
	Rate   Rate
	Insist bool // wait up to a second for Redis: for what isn't let through uncounted
}

// Verdict is the answer to a call.
type Verdict struct {
	Allowed    bool
	Limit      int           // calls that may come at once
	Remaining  int           // of them, after this one
	Reset      time.Duration // until Remaining is Limit again
	RetryAfter time.Duration // until the next call passes; 0 for an allowed one
}

// ErrAway says that a call wasn't counted, because Redis is away, slow, or answers nonsense.
var ErrAway = errors.New("redis can't be asked")

// Take counts a call. A refused one counts for nothing. Any error but the end of ctx is an ErrAway; it comes within the
// settings' patience, and at once while Redis is known to be away.
func (l *Limiter) Take(ctx context.Context, call Call) (Verdict, error) {
	on := &l.quick
	if call.Insist {
		on = &l.insisting
	}
	if !on.breaker.admits(l.now()) {
		l.uncounted(call)
		return Verdict{}, ErrAway
	}
	verdict, err := l.ask(ctx, on.patience, call)
	if err != nil && ctx.Err() != nil {
		return Verdict{}, fmt.Errorf("count a call: %w", ctx.Err())
	}
	on.breaker.heard(l.now(), err)
	if err != nil {
		l.uncounted(call)
		l.told.trouble(l.now(), err)
		return Verdict{}, fmt.Errorf("%w: %w", ErrAway, err)
	}
	l.told.well()
	l.decided(call, verdict)
	return verdict, nil
}

// ask takes one from the rate. A count that lies further ahead than the rate allows was written by a clock that has gone
// back since: it is thrown away, or else its owner would be refused until the clock gets there again.
func (l *Limiter) ask(ctx context.Context, patience time.Duration, call Call) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rate, key := call.Rate.gcra(), l.key(call)
	answer, err := l.allow(ctx, key, rate)
	if err == nil && answer.ResetAfter > longest(rate) {
		if err := l.script.Reset(ctx, key); err != nil {
			return Verdict{}, fmt.Errorf("forget a count: %w", err)
		}
		answer, err = l.allow(ctx, key, rate)
	}
	if err != nil {
		return Verdict{}, err
	}
	return verdictOf(answer)
}

// key holds the rate too: counts of one rate say nothing about another.
func (l *Limiter) key(call Call) string {
	return fmt.Sprintf("%s:%s:%v:%s", l.prefix, call.Limit, call.Rate, call.Of)
}

// allow runs the script. Its library takes the answer's shape for granted, and panics at another.
func (l *Limiter) allow(ctx context.Context, key string, rate redis_rate.Limit) (answer *redis_rate.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fmt.Errorf("redis answers nonsense: %v", p)
		}
	}()
	answer, err = l.script.Allow(ctx, key, rate)
	if err != nil {
		return nil, fmt.Errorf("ask Redis: %w", err)
	}
	return answer, nil
}

func verdictOf(r *redis_rate.Result) (Verdict, error) {
	v := Verdict{Allowed: r.Allowed == 1, Limit: r.Limit.Burst, Remaining: r.Remaining, Reset: r.ResetAfter, RetryAfter: max(0, r.RetryAfter)}
	sane := (r.Allowed == 0 || r.Allowed == 1) && r.Remaining >= 0 && r.Remaining < r.Limit.Burst &&
		r.ResetAfter >= 0 && r.ResetAfter <= longest(r.Limit) && r.RetryAfter <= longest(r.Limit) && v.Allowed == (v.RetryAfter == 0)
	if !sane {
		return Verdict{}, fmt.Errorf("redis answers nonsense: %+v", *r)
	}
	return v, nil
}
