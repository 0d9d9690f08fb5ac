package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"castad/internal/testkit/sandboxed"
	"castad/providers/azblob"
	"castad/providers/sandbox"
	"castad/providers/sandbox/places"
)

// desk writes what the language model answers, and knows no place.
type desk struct {
	mu      sync.Mutex
	answers []string // the next ones, in place of good ones
}

func (d *desk) Find(string) (sandbox.Place, bool) { return sandbox.Place{}, false }
func (d *desk) Search(string) []sandbox.Place     { return nil }
func (d *desk) Photo(string) ([]byte, bool)       { return nil, false }

func (d *desk) Answer(schemaName string, facts json.RawMessage) (json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
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

// box is the sandbox of all providers on loopback, which remembers what it was asked for.
type box struct {
	desk desk
	*sandboxed.Server
	sandbox http.Handler

	mu     sync.Mutex
	asked  []string // "GET /path?" of every request
	tricks []trick
}

// trick answers requests in place of the sandbox.
type trick struct {
	request string // how they begin: "PUT /path"
	left    int
	do      http.HandlerFunc
}

func openBox(t *testing.T) *box {
	t.Helper()
	b := &box{}
	b.Server = sandboxed.Open(t, sandbox.Config{Atlas: &b.desk}, func(providers http.Handler) http.Handler {
		b.sandbox = providers
		return b
	})
	return b
}

// instead lets do answer the next n requests that begin so: "PUT /path".
func (b *box) instead(n int, request string, do http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tricks = append(b.tricks, trick{request, n, do})
}

func (b *box) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.answers(r)(w, r) }

func (b *box) answers(r *http.Request) http.HandlerFunc {
	b.mu.Lock()
	defer b.mu.Unlock()
	request := r.Method + " " + r.URL.Path + "?"
	b.asked = append(b.asked, request)
	for i := range b.tricks {
		if trick := &b.tricks[i]; trick.left > 0 && strings.HasPrefix(request, trick.request) {
			trick.left--
			return trick.do
		}
	}
	return b.sandbox.ServeHTTP
}

// requests counts the requests so far that begin so: "PUT /path".
func (b *box) requests(begin string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, request := range b.asked {
		if strings.HasPrefix(request, begin) {
			n++
		}
	}
	return n
}

// status is a handler that refuses.
func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// quietly has the sandbox carry a request out, and answers with do.
func (b *box) quietly(do http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b.sandbox.ServeHTTP(httptest.NewRecorder(), r)
		do(w, r)
	}
}

// cut hangs up.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// get reads what anybody with a key can.
func (b *box) get(t *testing.T, path string) []byte {
	t.Helper()
	return b.Get(t, b.URL+path)
}

// posts counts what a provider has accepted: the posts that are out, or answers.
func (b *box) posts(t *testing.T, provider string) int {
	t.Helper()
	return b.Bill(t).Providers[provider].Calls
}

// blobs is a blob store with its container.
func (b *box) blobs(t *testing.T) *azblob.Client {
	t.Helper()
	blobs, err := azblob.New(azblob.Config{Container: "media", Retries: -1,
		ConnectionString: "AccountName=devstoreaccount1;AccountKey=a2V5;BlobEndpoint=" + b.URL + "/devstoreaccount1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := blobs.EnsureContainer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return blobs
}
