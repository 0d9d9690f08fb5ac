package limit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"castad/internal/testkit"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lines takes what is logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// impostor is a server that answers every script with the same words, and counts how often it was asked. With no
// answer it says nothing and keeps the line.
type impostor struct {
	net.Listener
	answer string
	asked  atomic.Int32
}

func newImpostor(t *testing.T, answer string) *impostor {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &impostor{Listener: listener, answer: answer}
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talks.Go(func() { i.talk(conn) })
		}
	})
	t.Cleanup(func() { listener.Close(); talks.Wait() })
	return i
}

func (i *impostor) url() string { return "redis://" + i.Addr().String() }

func (i *impostor) talk(conn net.Conn) {
	defer conn.Close()
	from := bufio.NewReader(conn)
	for {
		command, err := readCommand(from)
		if err != nil {
			return
		}
		answer := "-ERR unknown command\r\n" // to the greeting
		if strings.HasPrefix(strings.ToLower(command), "eval") {
			i.asked.Add(1)
			answer = i.answer
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

// readCommand reads a command of the Redis protocol and returns its name.
func readCommand(from *bufio.Reader) (name string, err error) {
	var parts int
	if _, err := fmt.Fscanf(from, "*%d\r\n", &parts); err != nil {
		return "", err
	}
	for i := range parts {
		var size int
		if _, err := fmt.Fscanf(from, "$%d\r\n", &size); err != nil {
			return "", err
		}
		part := make([]byte, size+2)
		if _, err := io.ReadFull(from, part); err != nil {
			return "", err
		}
		if i == 0 {
			name = string(part[:size])
		}
	}
	return name, nil
}

func scriptAnswer(allowed, remaining int, retry, reset string) string {
	return fmt.Sprintf("*4\r\n:%d\r\n:%d\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", allowed, remaining, len(retry), retry, len(reset), reset)
}

func TestTake_DoesntBelieveNonsense(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no list": "+OK\r\n", "nothing": "$-1\r\n", "an empty list": "*0\r\n", "a number": ":1\r\n",
		"a list of other things": "*4\r\n$1\r\na\r\n$1\r\nb\r\n:1\r\n:1\r\n", "a short list": "*2\r\n:1\r\n:1\r\n",
		"another protocol": "HTTP/1.1 400 Bad Request\r\n\r\n", "an error": "-LOADING Redis is loading the dataset in memory\r\n",
		"read only": "-READONLY You can't write against a read only replica.\r\n", "garbage": "\x00\x01\x02\r\n",
		"more than one": scriptAnswer(2, 3, "-1", "60"), "more left than there are": scriptAnswer(1, 5, "-1", "60"),
		"less than none left": scriptAnswer(1, -1, "-1", "60"), "no number": scriptAnswer(1, 1, "soon", "60"),
		"not a number": scriptAnswer(1, 1, "-1", "nan"), "endless": scriptAnswer(0, 0, "1e300", "60"), "a year": scriptAnswer(0, 0, "31536000", "60"),
		"both allowed and not": scriptAnswer(1, 1, "5", "60"), "neither": scriptAnswer(0, 0, "-1", "60"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := opened(t, Settings{URL: newImpostor(t, answer).url(), Patience: steady})
			if v, err := l.Take(t.Context(), Call{Limit: "a", Of: "u", Rate: slow}); !errors.Is(err, ErrAway) {
				t.Errorf("got %+v, %v, want that it isn't counted", v, err)
			}
		})
	}
	l := opened(t, Settings{URL: newImpostor(t, scriptAnswer(1, 3, "-1", "7200")).url(), Patience: steady})
	if v := taken(t, l, Call{Limit: "a", Of: "u", Rate: slow}); !v.Allowed || v.Remaining != 3 { // the impostor can be believed, too
		t.Errorf("got %+v", v)
	}
}

func TestBreaker_AsksADeadRedisOnceAPause(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"silent": "", "nonsense": "+OK\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dead, clock := newImpostor(t, answer), &clock{now: time.Now()}
			l := opened(t, Settings{URL: dead.url(), Patience: 50 * time.Millisecond, Now: clock.Now})
			for round := range int32(4) {
				for range 50 {
					if _, err := l.Take(t.Context(), Call{Limit: "a", Of: "u", Rate: slow}); !errors.Is(err, ErrAway) {
						t.Fatalf("got %v", err)
					}
				}
				// On a busy machine the line itself may take longer than the patience; then nothing arrives at all.
				if got := dead.asked.Load(); got > tolerated+1+round {
					t.Errorf("after %d pauses it was asked %d times", round, got)
				}
				clock.pass(pause)
			}
		})
	}
}

func TestBreaker_ToleratesALateAnswerAndInsistingCallsHaveTheirOwn(t *testing.T) {
	t.Parallel()
	addr, _ := testkit.Redis(t)
	clock := &clock{now: time.Now()}
	l := opened(t, Settings{URL: "redis://" + addr, Patience: steady, Now: clock.Now})
	slowFor := func(calls int) {
		for range calls {
			l.quick.breaker.heard(clock.Now(), errors.New("slow for a moment"))
		}
	}
	slowFor(tolerated)
	taken(t, l, Call{Limit: "a", Of: "u", Rate: slow}) // and an answer between: the count begins anew
	slowFor(tolerated)
	taken(t, l, Call{Limit: "a", Of: "u", Rate: slow})
	slowFor(tolerated + 1)
	if _, err := l.Take(t.Context(), Call{Limit: "a", Of: "u", Rate: slow}); !errors.Is(err, ErrAway) {
		t.Errorf("got %v", err)
	}
	if v := taken(t, l, Call{Limit: "a", Of: "u", Rate: slow, Insist: true}); !v.Allowed {
		t.Errorf("got %+v", v)
	}
}

func TestTake_WarnsOnceAMinuteAndCounts(t *testing.T) {
	t.Parallel()
	log, clock, registry := &lines{}, &clock{now: time.Now()}, prometheus.NewRegistry()
	addr, m := testkit.Redis(t)
	l := opened(t, Settings{URL: "redis://" + addr, Patience: steady, Now: clock.Now, Log: zerolog.New(log), Metrics: registry})
	opened(t, Settings{URL: "redis://" + addr, Metrics: registry}) // shares the metric
	call := Call{Limit: "reads", Of: "u", Rate: Rate{Count: 1, Per: time.Hour, Burst: 2}}
	for range 3 {
		taken(t, l, call)
	}
	m.SetError("LOADING it is loading")
	for range 121 { // a call each half second: a minute and a bit
		if _, err := l.Take(t.Context(), call); !errors.Is(err, ErrAway) {
			t.Fatal(err)
		}
		clock.pass(500 * time.Millisecond)
	}
	m.SetError("")
	clock.pass(pause)
	taken(t, l, call)
	warnings, ends := strings.Count(log.String(), `"limits weren't counted"`), strings.Count(log.String(), `"limits are counted again"`)
	if diff := cmp.Diff([]int{2, 1}, []int{warnings, ends}); diff != "" {
		t.Errorf("%s in %s", diff, log)
	}
	if diff := cmp.Diff(map[string]float64{"allowed": 2, "refused": 2, "uncounted": 121}, counted(t, registry, "reads")); diff != "" {
		t.Error(diff)
	}
}

// counted returns the metric of a limit by outcome.
func counted(t *testing.T, registry *prometheus.Registry, limit string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byOutcome := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if family.GetName() == "castad_limited_calls_total" && labels["limit"] == limit {
				byOutcome[labels["outcome"]] = metric.GetCounter().GetValue()
			}
		}
	}
	return byOutcome
}
