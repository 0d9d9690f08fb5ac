package limit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"castad/internal/testkit"
)

// steady is the patience of tests that aren't about slowness: a busy machine must not look like a slow Redis.
const steady = 30 * time.Second

func opened(t *testing.T, s Settings) *Limiter {
	t.Helper()
	if s.Prefix == "" {
		s.Prefix = "test"
	}
	l, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func taken(t *testing.T, l *Limiter, call Call) Verdict {
	t.Helper()
	v, err := l.Take(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// slow is a rate of which nothing comes back while a test runs.
var slow = Rate{Count: 1, Per: time.Hour, Burst: 5}

func TestTake_LetsTheBurstThroughAndNoMore(t *testing.T) {
	t.Parallel()
	testkit.EachRedis(t, func(t *testing.T, r *testkit.RedisServer) {
		l := opened(t, Settings{URL: r.URL(), Patience: steady})
		for want := slow.Burst - 1; want >= 0; want-- {
			v := taken(t, l, Call{Limit: "a", Of: "u", Rate: slow})
			if diff := cmp.Diff([]any{true, slow.Burst, want, time.Duration(0)}, []any{v.Allowed, v.Limit, v.Remaining, v.RetryAfter}); diff != "" {
				t.Error(diff)
			}
		}
		v := taken(t, l, Call{Limit: "a", Of: "u", Rate: slow})
		if v.Allowed || v.Remaining != 0 || v.RetryAfter <= 0 || v.RetryAfter > time.Hour {
			t.Errorf("got %+v, want a refusal of at most an hour", v)
		}
		if v := taken(t, opened(t, Settings{URL: r.URL(), Prefix: "another", Patience: steady}), Call{Limit: "a", Of: "u", Rate: slow}); !v.Allowed {
			t.Errorf("under another prefix: got %+v", v)
		}
		for _, other := range []Call{{Limit: "b", Of: "u", Rate: slow}, {Limit: "a", Of: "v", Rate: slow}, {Limit: "a", Of: "u", Rate: Rate{1, time.Hour, 6}}} {
			if v := taken(t, l, other); !v.Allowed || v.Remaining != other.Rate.Burst-1 {
				t.Errorf("%+v: got %+v, want a count of its own", other, v)
			}
		}
	})
}

func TestTake_ManyAtOnceGetTheBurstBetweenThem(t *testing.T) {
	t.Parallel()
	testkit.EachRedis(t, func(t *testing.T, r *testkit.RedisServer) {
		// Two servers, as behind a proxy.
		servers := []*Limiter{opened(t, Settings{URL: r.URL(), Patience: steady}), opened(t, Settings{URL: r.URL(), Patience: steady})}
		var all sync.WaitGroup
		var mu sync.Mutex
		allowed := 0
		for i := range 64 {
			all.Go(func() {
				v, err := servers[i%2].Take(t.Context(), Call{Limit: "a", Of: "u", Rate: slow})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if v.Allowed {
					allowed++
				}
			})
		}
		all.Wait()
		if diff := cmp.Diff(slow.Burst, allowed); diff != "" {
			t.Error(diff)
		}
	})
}

// The first of a burst leaves all others, whatever the rate.
func TestTake_CountsExactly(t *testing.T) {
	t.Parallel()
	testkit.EachRedis(t, func(t *testing.T, r *testkit.RedisServer) {
		l := opened(t, Settings{URL: r.URL(), Patience: steady})
		for _, rate := range []Rate{{600, time.Minute, 200}, {7, time.Minute, 10}, {1, 24 * time.Hour, 3}, {3, time.Hour, 7}, {1000, time.Second, 1000}, {11, time.Minute, 1}} {
			for user := range 20 {
				v := taken(t, l, Call{Limit: "a", Of: fmt.Sprint(user), Rate: rate})
				if diff := cmp.Diff([]any{true, rate.Burst - 1}, []any{v.Allowed, v.Remaining}); diff != "" {
					t.Errorf("%v: %s", rate, diff)
				}
			}
		}
	})
}

func TestTake_GoesOnAtTheRate(t *testing.T) {
	t.Parallel()
	addr, m := testkit.Redis(t)
	at := time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)
	m.SetTime(at)
	l := opened(t, Settings{URL: "redis://" + addr, Patience: steady})
	call := Call{Limit: "a", Of: "u", Rate: Rate{Count: 6, Per: time.Minute, Burst: 2}}
	for i, step := range []struct {
		after time.Duration
		want  Verdict
	}{
		{0, Verdict{Allowed: true, Limit: 2, Remaining: 1, Reset: 10 * time.Second}},
		{0, Verdict{Allowed: true, Limit: 2, Remaining: 0, Reset: 20 * time.Second}},
		{0, Verdict{Limit: 2, Reset: 20 * time.Second, RetryAfter: 10 * time.Second}},
		{9 * time.Second, Verdict{Limit: 2, Reset: 11 * time.Second, RetryAfter: time.Second}},
		{time.Second, Verdict{Allowed: true, Limit: 2, Remaining: 0, Reset: 20 * time.Second}},
		{time.Minute, Verdict{Allowed: true, Limit: 2, Remaining: 1, Reset: 10 * time.Second}},
	} {
		at = at.Add(step.after)
		m.SetTime(at)
		if diff := cmp.Diff(step.want, taken(t, l, call)); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
}

func TestTake_GoesOnWhenTheClockOfRedisGoesBack(t *testing.T) {
	t.Parallel()
	testkit.EachRedis(t, func(t *testing.T, r *testkit.RedisServer) {
		l := opened(t, Settings{URL: r.URL(), Patience: steady})
		call := Call{Limit: "a", Of: "u", Rate: slow}
		taken(t, l, call)
		client := redis.NewClient(&redis.Options{Addr: r.Addr()})
		defer client.Close()
		keys, err := client.Keys(t.Context(), "*").Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("got the keys %v, %v", keys, err)
		}
		nextYear := time.Now().Add(365 * 24 * time.Hour).Unix() // the script's clock began in 2017, so this is far ahead
		if err := client.Set(t.Context(), keys[0], nextYear, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if v := taken(t, l, call); !v.Allowed || v.Remaining != slow.Burst-1 {
			t.Errorf("got %+v, want a fresh count", v)
		}
	})
}

func TestTake_WhileRedisIsAwayAndAfter(t *testing.T) {
	t.Parallel()
	testkit.EachRedis(t, func(t *testing.T, r *testkit.RedisServer) {
		clock := &clock{now: time.Now()}
		l := opened(t, Settings{URL: r.URL(), Patience: steady, Now: clock.Now})
		call := Call{Limit: "a", Of: "u", Rate: Rate{Count: 1, Per: time.Hour, Burst: 1}}
		for _, want := range []bool{true, false} {
			if diff := cmp.Diff(want, taken(t, l, call).Allowed); diff != "" {
				t.Fatal(diff)
			}
		}
		r.Stop()
		for range 20 {
			if _, err := l.Take(t.Context(), call); !errors.Is(err, ErrAway) {
				t.Fatalf("got %v, want that Redis is away", err)
			}
			clock.pass(300 * time.Millisecond)
		}
		r.Start()
		clock.pass(pause)
		testkit.Eventually(t, "calls are counted again", func() bool {
			clock.pass(pause)
			v, err := l.Take(t.Context(), call)
			return err == nil && v.Allowed // Redis was empty: limits begin anew
		})
		if v := taken(t, l, call); v.Allowed {
			t.Errorf("got %+v, want a refusal", v)
		}
	})
}

func TestTake_EndsWithItsContextAndSaysNothingAboutRedis(t *testing.T) {
	t.Parallel()
	addr, _ := testkit.Redis(t)
	l := opened(t, Settings{URL: "redis://" + addr, Patience: steady})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Take(ended, Call{Limit: "a", Of: "u", Rate: slow}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrAway) {
		t.Errorf("got %v", err)
	}
	if v := taken(t, l, Call{Limit: "a", Of: "u", Rate: slow}); !v.Allowed {
		t.Errorf("got %+v, want that Redis is asked", v)
	}
}

func TestOpen_HidesThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:6379", "http://u:hidden@h:1", "redis://u:hidden@h:1/notanumber", "redis://u:hid%zzden@h", "redis://u:hidden@h:1/0?nothing=1"} {
		if l, err := Open(Settings{URL: url}); err == nil || strings.Contains(err.Error(), "hid") {
			t.Errorf("%q: got %v, %v", url, l, err)
		}
	}
	log := &lines{}
	l := opened(t, Settings{URL: "redis://u:hidden@127.0.0.1:1", Log: zerolog.New(log)})
	if _, err := l.Take(t.Context(), Call{Limit: "a", Of: "u", Rate: slow}); err == nil || strings.Contains(err.Error()+log.String(), "hidden") {
		t.Errorf("got %v, %s", err, log)
	}
}

// A password that is wrong isn't different from a Redis that is away.
func TestTake_RefusedByRedis(t *testing.T) {
	t.Parallel()
	addr, m := testkit.Redis(t)
	m.RequireAuth("right")
	l := opened(t, Settings{URL: "redis://:hidden@" + addr, Patience: steady})
	if _, err := l.Take(t.Context(), Call{Limit: "a", Of: "u", Rate: slow}); !errors.Is(err, ErrAway) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
	l = opened(t, Settings{URL: "redis://:right@" + addr, Patience: steady})
	taken(t, l, Call{Limit: "a", Of: "u", Rate: slow})
}
