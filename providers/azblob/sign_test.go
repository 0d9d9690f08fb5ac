package azblob_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"castad/internal/testkit/sandboxed"
	"castad/providers/azblob"
	"castad/providers/sandbox"
)

// signer is a client of a sandbox whose clock is now's.
func signer(t *testing.T, signedFor time.Duration, now func() time.Time) *azblob.Client {
	t.Helper()
	s := sandboxed.Open(t, sandbox.Config{}, nil)
	c, err := azblob.New(azblob.Config{Container: "media", SignedFor: signedFor, Retries: -1, Now: now, ConnectionString: devAccount(s.URL)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func devAccount(base string) string {
	return "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/" +
		"K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=" + base + "/devstoreaccount1;"
}

func status(t *testing.T, address string) (int, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestSign_AddressThatWasKeptCanBeReadAfterASignatureHasEnded(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(-48 * time.Hour) // of the signer only: the server has the real one
	c := signer(t, time.Hour, func() time.Time { return now })
	now = time.Now() // the container's own request is signed too
	if err := c.EnsureContainer(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept, err := c.Keep(t.Context(), "t/v.mp4", "video/mp4", strings.NewReader("abc"))
	if err != nil || strings.Contains(kept, "?") {
		t.Fatalf("kept as %q, %v: what is written down must not end", kept, err)
	}
	now = time.Now().Add(-48 * time.Hour)
	old, err := c.Sign(kept)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := status(t, old); code != 403 {
		t.Errorf("the signature of two days ago answers %d", code)
	}
	now = time.Now()
	for _, address := range []string{kept, old} { // rows of earlier versions hold signed ones
		fresh, err := c.Sign(address)
		if err != nil {
			t.Fatal(err)
		}
		if code, body := status(t, fresh); code != 200 || body != "abc" {
			t.Errorf("signed anew: %d %q", code, body)
		}
	}
}

func TestSign_LivesLongEnoughAndStaysTheSameForAWhile(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	now := start
	c := signer(t, 24*time.Hour, func() time.Time { return now })
	now = time.Now()
	if err := c.EnsureContainer(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept, err := c.Keep(t.Context(), "t/v.mp4", "video/mp4", strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	if foreign, err := c.Sign("https://x.example/media/a?b=c"); foreign != "https://x.example/media/a?b=c" || err != nil {
		t.Errorf("a foreign address came back as %q, %v", foreign, err)
	}
	urls := map[string]bool{}
	for now = start; now.Before(start.Add(24 * time.Hour)); now = now.Add(7 * time.Minute) {
		signed, err := c.Sign(kept)
		if err != nil {
			t.Fatal(err)
		}
		urls[signed] = true
		u, err := url.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		ends, err := time.Parse(time.RFC3339, u.Query().Get("se"))
		if left := ends.Sub(now); err != nil || left < 24*time.Hour || left > 27*time.Hour {
			t.Fatalf("at %v the signature lives %v, %v", now, left, err)
		}
	}
	if len(urls) != 8 {
		t.Errorf("%d URLs in a day, want 8", len(urls))
	}
}
