package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"castad/internal/testkit/sandboxed"
	"castad/providers/azblob"
	"castad/providers/sandbox"
)

// box is the sandbox of all providers on loopback.
type box struct {
	*sandboxed.Server
	sandbox http.Handler

	mu     sync.Mutex
	tricks []trick
}

// trick answers requests in place of the sandbox.
type trick struct {
	path string
	left int
	do   http.HandlerFunc
}

func openBox(t *testing.T, d sandbox.Durations) *box {
	t.Helper()
	b := &box{}
	b.Server = sandboxed.Open(t, sandbox.Config{Durations: d}, func(providers http.Handler) http.Handler {
		b.sandbox = providers
		return b
	})
	return b
}

// instead lets do answer the next n requests under a path.
func (b *box) instead(n int, path string, do http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tricks = append(b.tricks, trick{path, n, do})
}

func (b *box) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.answers(r)(w, r) }

func (b *box) answers(r *http.Request) http.HandlerFunc {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.tricks {
		if trick := &b.tricks[i]; trick.left > 0 && strings.HasPrefix(r.URL.Path, trick.path) {
			trick.left--
			return trick.do
		}
	}
	return b.sandbox.ServeHTTP
}

// host is what a guarded client has to be allowed to reach.
func (b *box) host() string { return strings.TrimPrefix(b.URL, "http://") }

func (b *box) post(t *testing.T, path string, in any) []byte {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+path, bytes.NewReader(raw))
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
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("post %s: %d %s, %v", path, resp.StatusCode, body, err)
	}
	return body
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
