package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

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
	url  string

	mu    sync.Mutex
	asked map[string]int // requests by "GET /path"
}

func openBox(t *testing.T, d sandbox.Durations) *box {
	t.Helper()
	b := &box{asked: map[string]int{}}
	server := httptest.NewUnstartedServer(nil)
	b.url = "http://" + server.Listener.Addr().String()
	providers, err := sandbox.New(sandbox.Config{Dir: t.TempDir(), PublicURL: b.url, Quick: true, Atlas: &b.desk, Durations: d})
	if err != nil {
		t.Fatal(err)
	}
	handler := providers.Handler()
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked[r.Method+" "+r.URL.Path]++
		b.mu.Unlock()
		handler.ServeHTTP(w, r)
	})
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := providers.Close(); err != nil {
			t.Error(err)
		}
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
	raw, err := json.Marshal(fault)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(b.url+"/admin/faults", "application/json", bytes.NewReader(raw))
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("set fault: %v, %v", resp, err)
	}
	resp.Body.Close()
}

// paid is what the language model has been paid for.
func (b *box) paid(t *testing.T) sandbox.Total {
	t.Helper()
	resp, err := http.Get(b.url + "/bill")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var bill sandbox.Bill
	if err := json.NewDecoder(resp.Body).Decode(&bill); err != nil {
		t.Fatal(err)
	}
	return bill.Providers["openai"]
}
