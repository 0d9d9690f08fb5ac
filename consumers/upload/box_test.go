package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

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
	desk    desk
	url     string
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
	server := httptest.NewUnstartedServer(b)
	b.url = "http://" + server.Listener.Addr().String()
	providers, err := sandbox.New(sandbox.Config{Dir: t.TempDir(), PublicURL: b.url, Quick: true, Atlas: &b.desk})
	if err != nil {
		t.Fatal(err)
	}
	b.sandbox = providers.Handler()
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := providers.Close(); err != nil {
			t.Error(err)
		}
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

// fail makes calls of a provider go wrong, as the sandbox's Fault says.
func (b *box) fail(t *testing.T, fault sandbox.Fault) {
	t.Helper()
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

// mend ends all faults.
func (b *box) mend(t *testing.T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, b.url+"/admin/faults", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("end faults: %v, %v", resp, err)
	}
	resp.Body.Close()
}

// get reads what anybody with a key can.
func (b *box) get(t *testing.T, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("get %s: %d, %v", path, resp.StatusCode, err)
	}
	return body
}

// bill is what the providers have accepted.
func (b *box) bill(t *testing.T) sandbox.Bill {
	t.Helper()
	var bill sandbox.Bill
	if err := json.Unmarshal(b.get(t, "/bill"), &bill); err != nil {
		t.Fatal(err)
	}
	return bill
}

// posts counts what a provider has accepted: the posts that are out, or answers.
func (b *box) posts(t *testing.T, provider string) int {
	t.Helper()
	return b.bill(t).Providers[provider].Calls
}

// blobs is a blob store with its container.
func (b *box) blobs(t *testing.T) *azblob.Client {
	t.Helper()
	blobs, err := azblob.New(azblob.Config{Container: "media", Retries: -1,
		ConnectionString: "AccountName=devstoreaccount1;AccountKey=a2V5;BlobEndpoint=" + b.url + "/devstoreaccount1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := blobs.EnsureContainer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return blobs
}
