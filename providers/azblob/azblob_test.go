package azblob_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"castad/internal/fault"
	"castad/providers/azblob"
)

// account keeps blobs and staged blocks as Blob Storage does, by their escaped paths.
type account struct {
	mu        sync.Mutex
	container bool
	blobs     map[string][]byte
	types     map[string]string
	blocks    map[string][]byte
	refuse    string // error code of every answer, with 403
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	name, query := r.URL.EscapedPath(), r.URL.Query()
	_, there := a.blobs[name]
	answer := func(status int, code string) { w.Header().Set("x-ms-error-code", code); w.WriteHeader(status) }
	switch {
	case r.Header.Get("Authorization") == "" && query.Get("sig") == "":
		answer(401, "NoAuthenticationInformation")
	case a.refuse != "":
		answer(403, a.refuse)
	case query.Get("restype") == "container" && a.container:
		answer(409, "ContainerAlreadyExists")
	case query.Get("restype") == "container":
		a.container = true
		w.WriteHeader(201)
	case r.Method == http.MethodPut && query.Get("comp") == "block":
		a.blocks[query.Get("blockid")] = body
		w.WriteHeader(201)
	case r.Method == http.MethodPut:
		if query.Get("comp") == "blocklist" {
			var list struct{ Latest []string }
			_ = xml.Unmarshal(body, &list)
			body = nil
			for _, id := range list.Latest {
				body = append(body, a.blocks[id]...)
			}
		}
		a.blobs[name], a.types[name] = body, r.Header.Get("x-ms-blob-content-type")
		w.WriteHeader(201)
	case !there:
		answer(404, "BlobNotFound")
	case r.Method == http.MethodDelete:
		delete(a.blobs, name)
		w.WriteHeader(202)
	default:
		w.Header().Set("Content-Type", a.types[name])
		_, _ = w.Write(a.blobs[name])
	}
}

func client(t *testing.T, a *account, signedFor time.Duration) *azblob.Client {
	t.Helper()
	a.blobs, a.types, a.blocks = map[string][]byte{}, map[string]string{}, map[string][]byte{}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	c, err := azblob.New(azblob.Config{Container: "media", SignedFor: signedFor, Retries: -1,
		ConnectionString: "DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=a2V5;BlobEndpoint=" + s.URL + "/acct;"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeep_StoresReplacesAndDeletes(t *testing.T) {
	t.Parallel()
	c := client(t, &account{}, 0)
	for range 2 { // a container that is there is fine
		if err := c.EnsureContainer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{3, 9 << 20} { // one put; three blocks
		file := bytes.Repeat([]byte("abc"), size/3)
		url, err := c.Keep(t.Context(), "t/1/song.mp3", "audio/mpeg", bytes.NewReader(file))
		if err != nil || !strings.HasSuffix(url, "/acct/media/t%2F1%2Fsong.mp3") {
			t.Fatalf("keep %d bytes: %q, %v", size, url, err)
		}
		r, info, err := c.Open(t.Context(), "t/1/song.mp3")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if !bytes.Equal(got, file) || err != nil || info.ContentType != "audio/mpeg" {
			t.Errorf("read %d of %d bytes, %+v, %v", len(got), len(file), info, err)
		}
	}
	for _, want := range []bool{true, false} {
		if got, err := c.Exists(t.Context(), "t/1/song.mp3"); got != want || err != nil {
			t.Errorf("exists = %v, %v; want %v", got, err, want)
		}
		if err := c.Delete(t.Context(), "t/1/song.mp3"); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := c.Open(t.Context(), "t/1/song.mp3"); fault.Of(err).Code != "blob_not_found" {
		t.Errorf("open deleted: %v", err)
	}
}

func TestKeep_SourceFailureKeepsItsClass(t *testing.T) {
	t.Parallel()
	a := &account{}
	cause := fault.Stop("too_large", errors.New("x"))
	_, err := client(t, a, 0).Keep(t.Context(), "n", "video/mp4", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(cause)))
	if fault.Of(err).Code != "too_large" || len(a.blobs) != 0 {
		t.Errorf("got %v with %d blobs", err, len(a.blobs))
	}
}

func TestKeep_RefusedAccessStops(t *testing.T) {
	t.Parallel()
	_, err := client(t, &account{refuse: "AuthenticationFailed"}, 0).Keep(t.Context(), "n", "video/mp4", strings.NewReader("abc"))
	if f := fault.Of(err); f.Code != "blob_access_refused" || f.Kind != fault.Permanent {
		t.Errorf("got %v", err)
	}
}

func TestNew_ErrorsHoldNoKey(t *testing.T) {
	t.Parallel()
	_, err := azblob.New(azblob.Config{ConnectionString: "AccountName=a;AccountKey=secret!!"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
