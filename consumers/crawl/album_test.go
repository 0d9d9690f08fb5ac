package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/internal/fault"
	"castad/store"
)

// byHand returns the source of a place with these images.
func byHand(images ...string) store.Source {
	return store.Source{Manual: &store.Manual{Name: "바다별장", Region: "강원 강릉시", Images: images}}
}

// Photos that can't be used are named and left out; the rest keeps its order.
func TestAlbum_UnusablePhotosAreLeftOut(t *testing.T) {
	t.Parallel()
	known := village()
	known.pictures["page.png"] = []byte("<!doctype html><html>사진이 아닙니다</html>")
	known.pictures["icon.png"] = picture(32, 32, 0)
	known.pictures["strip.png"] = picture(2000, 10, 0)
	known.pictures["panorama.png"] = picture(1600, 200, 0)
	known.pictures["bomb.png"] = bomb(40_000, 40_000)
	known.pictures["wide-bomb.png"] = bomb(1<<31-1, 1<<31-1)
	known.pictures["half.png"] = picture(100, 100, 0)[:20]
	r := open(t, known)
	r.Photos.Most = 12
	private := "http://127.0.0.1:1/path.png"
	c := r.submit(t, owner, byHand(r.photo("page.png"), r.photo("stream.png"), r.photo("icon.png"), r.photo("gone.png"), private, r.photo("strip.png"), r.photo("panorama.png"),
		"file:///etc/passwd", r.photo("bomb.png"), r.photo("wide-bomb.png"), r.photo("half.png"), r.photo("path.png")))
	found := r.work(t, c)
	var kept []string
	for i, photo := range found.Images {
		kept = append(kept, photo.SourceURL)
		if photo.Position != i {
			t.Errorf("photo %d is at position %d", i, photo.Position)
		}
	}
	if diff := cmp.Diff([]string{r.photo("stream.png"), r.photo("path.png")}, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	var left []string
	for _, skipped := range found.Project.LeftOut.V {
		code, _, _ := strings.Cut(skipped.Reason, ":")
		left = append(left, strings.TrimPrefix(skipped.URL, r.URL+"/files/photos/")+" "+code)
	}
	want := []string{"page.png not_an_image", "icon.png photo_too_small", "gone.png url_refused", private + " url_not_public", "strip.png photo_too_small", "panorama.png photo_too_narrow",
		"file:///etc/passwd url_malformed", "bomb.png photo_too_large", "wide-bomb.png photo_unreadable", "half.png photo_unreadable"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

func TestAlbum_TakesTheFirstGoodOnes(t *testing.T) {
	t.Parallel()
	known := village()
	var urls []string
	r := open(t, known)
	for i := range 20 {
		name := fmt.Sprintf("%d.png", i)
		if i != 1 {
			known.pictures[name] = picture(64, 64, uint8(i))
		}
		urls = append(urls, r.photo(name))
	}
	found := r.work(t, r.submit(t, owner, byHand(urls...)))
	var kept []string
	for _, photo := range found.Images {
		kept = append(kept, photo.SourceURL)
	}
	if diff := cmp.Diff([]string{urls[0], urls[2], urls[3], urls[4]}, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestAlbum_WithoutAUsablePhotoThereIsNoVideo(t *testing.T) {
	t.Parallel()
	known := village()
	known.pictures["icon.png"] = picture(32, 32, 0)
	known.places[0].Photos = nil
	r := open(t, known)
	f := r.wantFault(t, r.submit(t, owner, byHand(r.photo("icon.png"), r.photo("gone.png"), "file:///etc/passwd")), fault.Permanent, "no_usable_photo")
	if !strings.Contains(f.Error(), "photo_too_small") || !strings.Contains(f.Error(), "url_malformed") {
		t.Errorf("the reasons are missing: %v", f)
	}
	f = r.wantFault(t, r.submit(t, owner, store.Source{URL: forest}), fault.Permanent, "no_usable_photo")
	if strings.Contains(f.Error(), "nil") {
		t.Errorf("of a place without photos: %v", f)
	}
}

// Photos that nobody could reach may be there later.
func TestAlbum_PassingTroubleIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	c := r.submit(t, owner, store.Source{URL: forest})
	for _, name := range []string{"path.png", "stream.png", "lounge.png"} {
		r.instead("/files/photos/"+name, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	}
	r.wantFault(t, c, fault.Retryable, "no_usable_photo")
	for _, name := range []string{"path.png", "stream.png", "lounge.png"} {
		r.instead("/files/photos/"+name, nil)
	}
	blob := "/devstoreaccount1/media/" + c.TaskID + "/crawl-1/photo-01.png"
	r.instead(blob, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	r.wantFault(t, c, fault.Retryable, "blob_unavailable")
	r.instead(blob, nil)
	if found := r.work(t, c); len(found.Images) != 3 || len(found.Project.LeftOut.V) != 0 {
		t.Errorf("after the trouble: %+v", found)
	}
}

// told says when a file was kept.
type told struct {
	blobStore
	kept chan struct{}
}

func (s told) Keep(ctx context.Context, name, contentType string, r io.Reader) (string, error) {
	url, err := s.blobStore.Keep(ctx, name, contentType, r)
	close(s.kept)
	return url, err
}

// A program that is told to end in the middle of it must not leave photos out for good.
func TestAlbum_EndingProgramLeavesNothingOut(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	kept := make(chan struct{})
	r.Photos.Blobs = told{r.Photos.Blobs, kept}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	r.instead("/files/photos/path.png", func(w http.ResponseWriter, req *http.Request) {
		<-kept
		end()
		<-req.Context().Done()
	})
	out, err := r.Work(ctx, r.submit(t, owner, byHand(r.photo("path.png"), r.photo("stream.png"))))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %d photos, %v", len(out.Result.Images), err)
	}
}
