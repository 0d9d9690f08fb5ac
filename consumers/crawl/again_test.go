package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/events"
	"castad/internal/fault"
	"castad/providers"
	"castad/store"
)

// A place is read rarely: what one task has found serves the others for a while, with their own owner and language.
func TestCrawl_FreshCrawlServesOtherTasks(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	r.Fresh = time.Hour
	first := r.submit(t, owner, store.Source{URL: forest})
	r.finish(t, first)
	asked := len(r.requests("POST /naver/")) + len(r.requests("GET /files/photos/"))
	id, _, err := r.DB.Submit(t.Context(), store.Submission{UserUUID: neighbour, Source: store.Source{URL: forestID}, Language: providers.English, Orientation: "vertical"})
	if err != nil {
		t.Fatal(err)
	}
	r.finish(t, r.claim(t, id))
	want := r.project(t, first.TaskID)
	want.TaskID, want.UserUUID, want.Language = id, neighbour, providers.English
	if diff := cmp.Diff(want, r.project(t, id), noID); diff != "" {
		t.Errorf("project (-want +got):\n%s", diff)
	}
	photos := r.images(t, first.TaskID)
	for i := range photos {
		photos[i].TaskID = id
	}
	if diff := cmp.Diff(photos, r.images(t, id)); diff != "" {
		t.Errorf("photos (-want +got):\n%s", diff)
	}
	if got := len(r.requests("POST /naver/")) + len(r.requests("GET /files/photos/")); got != asked {
		t.Errorf("the place was read again: %d requests, then %d", asked, got)
	}
}

// Who asks for the crawl again wants it from the place itself.
func TestCrawl_RerunReadsThePlaceAgain(t *testing.T) {
	t.Parallel()
	known := village()
	r := open(t, known)
	r.Fresh = time.Hour
	c := r.submit(t, owner, store.Source{URL: forest})
	r.finish(t, c)
	known.places[0].Photos = known.places[0].Photos[1:] // the owner has taken one off the page
	known.places[0].Description = "새로 고친 방"
	if _, err := r.DB.Rerun(t.Context(), owner, c.TaskID, events.Crawl, nil); err != nil {
		t.Fatal(err)
	}
	r.finish(t, r.claim(t, c.TaskID))
	if project := r.project(t, c.TaskID); project.Description != "새로 고친 방" {
		t.Errorf("project after the rerun: %+v", project)
	}
	photos := r.images(t, c.TaskID)
	for i, p := range photos {
		if p.Revision != 2 || p.Position != i || !strings.HasSuffix(p.URL, fmt.Sprintf("%%2Fcrawl-2%%2Fphoto-%02d.png", i)) {
			t.Errorf("photo %d is %+v", i, p)
		}
	}
	if len(photos) != 2 || photos[0].SourceURL != r.photo("stream.png") {
		t.Errorf("photos after the rerun: %+v", photos)
	}
}

// reordered asks for the photos in another order, and returns the claim.
func (r *rig) reordered(t *testing.T, taskID string, order ...int) store.Claim {
	t.Helper()
	if _, err := r.DB.Rerun(t.Context(), owner, taskID, events.Crawl, &store.Edit{PhotoOrder: order}); err != nil {
		t.Fatal(err)
	}
	return r.claim(t, taskID)
}

func TestCrawl_PhotoOrderNeedsNoNetwork(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	c := r.submit(t, owner, store.Source{URL: forest})
	r.finish(t, c)
	project, photos := r.project(t, c.TaskID), r.images(t, c.TaskID)
	r.instead("/naver/graphql", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	requests := len(r.requests(""))
	c = r.reordered(t, c.TaskID, 2, 0)
	r.work(t, c) // and a crash before the save
	r.finish(t, c)
	want := []store.Image{photos[2], photos[0]}
	for i := range want {
		want[i].Revision, want[i].Position = 2, i
	}
	if diff := cmp.Diff(want, r.images(t, c.TaskID)); diff != "" {
		t.Errorf("photos (-want +got):\n%s", diff)
	}
	r.finish(t, r.reordered(t, c.TaskID, 1, 0)) // of those that are left
	want[0], want[1] = want[1], want[0]
	for i := range want {
		want[i].Revision, want[i].Position = 3, i
	}
	if diff := cmp.Diff(want, r.images(t, c.TaskID)); diff != "" {
		t.Errorf("photos in the second order (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(project, r.project(t, c.TaskID)); diff != "" {
		t.Errorf("project (-before +after):\n%s", diff)
	}
	if got := len(r.requests("")); got != requests {
		t.Errorf("%d requests were made for an order of photos", got-requests)
	}
}

func TestCrawl_PhotoOrderOfPhotosThatArentThere(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	c := r.submit(t, owner, store.Source{URL: forest})
	r.finish(t, c)
	for _, order := range [][]int{{0, 3}, {-1}, {1 << 40}} {
		r.wantFault(t, r.reordered(t, c.TaskID, order...), fault.Permanent, "photo_order_invalid")
	}
	if got := r.images(t, c.TaskID); len(got) != 3 || got[0].Revision != 1 {
		t.Errorf("photos after orders that make no sense: %+v", got)
	}
}

// What a person has left out of his video isn't missing from the videos of others.
func TestCrawl_PhotoOrderStaysWithItsTask(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	r.Fresh = time.Hour
	c := r.submit(t, owner, store.Source{URL: forest})
	r.finish(t, c)
	r.finish(t, r.reordered(t, c.TaskID, 1))
	if found := r.work(t, r.submit(t, neighbour, store.Source{URL: forest})); len(found.Images) != 3 {
		t.Errorf("the neighbour got %d of 3 photos", len(found.Images))
	}
}
