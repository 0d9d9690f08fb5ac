package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"

	"castad/internal/testkit/sandboxed"
	"castad/providers/sandbox"
	"castad/providers/sandbox/places"
)

// desk writes what the language model answers, and keeps what it was told.
type desk struct {
	mu      sync.Mutex
	answers []string // the next ones, in place of good ones
	told    []json.RawMessage
}

func (d *desk) Find(string) (sandbox.Place, bool) { return sandbox.Place{}, false }
func (d *desk) Search(string) []sandbox.Place     { return nil }
func (d *desk) Photo(string) ([]byte, bool)       { return nil, false }

func (d *desk) Answer(schemaName string, facts json.RawMessage) (json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, slices.Clone(facts))
	if len(d.answers) > 0 {
		next := d.answers[0]
		d.answers = d.answers[1:]
		return json.RawMessage(next), nil
	}
	return places.Answer(schemaName, facts)
}

// next has the model answer so, before it answers well again.
func (d *desk) next(answers ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = answers
}

// lastTold returns the facts of the newest question.
func (d *desk) lastTold() json.RawMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told[len(d.told)-1]
}

// box is the sandbox of all providers on loopback.
type box struct {
	desk desk
	*sandboxed.Server

	mu    sync.Mutex
	asked map[string]int // requests by "GET /path"
}

func openBox(t *testing.T, d sandbox.Durations) *box {
	t.Helper()
	b := &box{asked: map[string]int{}}
	b.Server = sandboxed.Open(t, sandbox.Config{Atlas: &b.desk, Durations: d}, func(providers http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.mu.Lock()
			b.asked[r.Method+" "+r.URL.Path]++
			b.mu.Unlock()
			providers.ServeHTTP(w, r)
		})
	})
	return b
}

// requests counts those for exactly "GET /path".
func (b *box) requests(request string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[request]
}

// fail makes calls of the language model go wrong, as the sandbox's Fault says.
func (b *box) fail(t *testing.T, fault sandbox.Fault) {
	t.Helper()
	fault.Provider = "openai"
	b.Fail(t, fault)
}

// paid is what the language model has been paid for.
func (b *box) paid(t *testing.T) sandbox.Total {
	t.Helper()
	return b.Bill(t).Providers["openai"]
}
