package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"castad/internal/testkit/sandboxed"
	"castad/providers/azblob"
	"castad/providers/sandbox"
)

// town is what there is to find: places, and their pictures by name.
type town struct {
	places   []sandbox.Place
	pictures map[string][]byte
}

func (t town) Find(id string) (sandbox.Place, bool) {
	for _, p := range t.places {
		if p.ID == id {
			return p, true
		}
	}
	return sandbox.Place{}, false
}

func (t town) Search(query string) []sandbox.Place {
	var found []sandbox.Place
	for _, p := range t.places {
		if strings.Contains(p.Name, query) {
			found = append(found, p)
		}
	}
	return found
}

func (t town) Photo(name string) ([]byte, bool) { data, ok := t.pictures[name]; return data, ok }

func (t town) Answer(string, json.RawMessage) (json.RawMessage, error) {
	return nil, errors.New("nobody is asked here")
}

// box is the sandbox of all providers on loopback, which remembers what it was asked for.
type box struct {
	*sandboxed.Server
	sandbox http.Handler

	mu     sync.Mutex
	asked  []string // "GET /path" of every request
	tricks map[string]http.HandlerFunc
}

func openBox(t *testing.T, known town) *box {
	t.Helper()
	b := &box{tricks: map[string]http.HandlerFunc{}}
	b.Server = sandboxed.Open(t, sandbox.Config{Atlas: known}, func(providers http.Handler) http.Handler {
		b.sandbox = providers
		return b
	})
	return b
}

// instead lets do answer all requests for a path.
func (b *box) instead(path string, do http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tricks[path] = do
}

func (b *box) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.asked = append(b.asked, r.Method+" "+r.URL.Path)
	do := b.tricks[r.URL.Path]
	b.mu.Unlock()
	if do == nil {
		do = b.sandbox.ServeHTTP
	}
	do(w, r)
}

// requests returns the requests so far that begin as given, "GET /path", sorted.
func (b *box) requests(begin string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []string
	for _, r := range b.asked {
		if strings.HasPrefix(r, begin) {
			found = append(found, r)
		}
	}
	slices.Sort(found)
	return found
}

// host is what a guarded client has to be allowed to reach.
func (b *box) host() string { return strings.TrimPrefix(b.URL, "http://") }

// photo is the address of a picture.
func (b *box) photo(name string) string { return b.URL + "/files/photos/" + name }

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

// picture is a PNG of one shade of grey.
func picture(width, height int, shade uint8) []byte {
	plain := image.NewGray(image.Rect(0, 0, width, height))
	for i := range plain.Pix {
		plain.Pix[i] = color.Gray{Y: shade}.Y
	}
	var out bytes.Buffer
	if err := png.Encode(&out, plain); err != nil {
		panic(err) // into memory
	}
	return out.Bytes()
}

// bomb is a small file that says it is a PNG of any size.
func bomb(width, height uint32) []byte {
	head := []byte("IHDR")
	for _, side := range []uint32{width, height} {
		head = append(head, byte(side>>24), byte(side>>16), byte(side>>8), byte(side))
	}
	head = append(head, 8, 0, 0, 0, 0) // grey, not interlaced
	sum := crc32.ChecksumIEEE(head)
	out := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head...)
	return append(out, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
}
