package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/providers"
	"castad/providers/fetch"
	"castad/providers/sandbox"
	"castad/scraper"
	"castad/store"
)

const (
	owner     = "0199d4a0-0000-7000-8000-000000000001"
	neighbour = "0199d4a0-0000-7000-8000-000000000002"

	forestID = "1100000001"
	forest   = "https://map.naver.com/p/entry/place/" + forestID
)

// village has a place with three photos, and two of one name.
func village() town {
	return town{
		places: []sandbox.Place{
			{ID: forestID, Type: "accommodation", Name: "숲속하루펜션", Category: "펜션", RoadAddress: "경기도 가평군 설악면 숲속길 12", Address: "경기 가평군 설악면 방일리 100-1",
				Phone: "0507-1300-0001", Description: "잣나무 숲이 마당까지 내려온 자리.\n객실마다 \"개별\" 테라스 & 불멍.", Facilities: []string{"바비큐", "불멍"},
				Photos: []sandbox.Photo{{Name: "path.png"}, {Name: "stream.png"}, {Name: "lounge.png"}}, Longitude: 127.5012345, Latitude: 37.6512345},
			{ID: "1100000002", Type: "accommodation", Name: "바다별장", RoadAddress: "강원 강릉시 해안로 1", Photos: []sandbox.Photo{{Name: "path.png"}}},
			{ID: "1100000003", Type: "accommodation", Name: "바다별장", RoadAddress: "강원 속초시 해안로 2", Photos: []sandbox.Photo{{Name: "path.png"}}},
		},
		pictures: map[string][]byte{"path.png": picture(120, 80, 10), "stream.png": picture(80, 120, 20), "lounge.png": picture(100, 100, 30)},
	}
}

// rig is the stage with the real clients on a sandbox.
type rig struct {
	*box
	*Stage
}

func open(t *testing.T, known town) *rig {
	t.Helper()
	db, err := store.Open(store.Settings{DSN: testkit.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := openBox(t, known)
	naver := b.URL + "/naver/"
	return &rig{box: b, Stage: &Stage{DB: db,
		Source: &scraper.Scraper{URLs: scraper.BaseURLs{GraphQL: naver + "graphql", Page: naver + "place", Short: naver + "short", Map: naver + "map"}},
		Photos: NewAlbum(fetch.New(fetch.Config{Allow: []string{b.host()}}), b.blobs(t), 4)}}
}

// submit returns the claim of the crawl of a new task.
func (r *rig) submit(t *testing.T, user string, source store.Source) store.Claim {
	t.Helper()
	id, _, err := r.DB.Submit(t.Context(), store.Submission{UserUUID: user, Source: source, Language: providers.Korean, Orientation: "vertical"})
	if err != nil {
		t.Fatal(err)
	}
	return r.claim(t, id)
}

func (r *rig) claim(t *testing.T, taskID string) store.Claim {
	t.Helper()
	c, answer, err := r.DB.Claim(t.Context(), taskID, events.Crawl, "test", 10*time.Minute, 5)
	if err != nil || answer != store.Claimed {
		t.Fatalf("claim: %d, %v", answer, err)
	}
	return c
}

// work is one attempt that has to find something.
func (r *rig) work(t *testing.T, c store.Claim) Result {
	t.Helper()
	out, err := r.Work(t.Context(), c)
	if err != nil || out.Rest > 0 {
		t.Fatalf("nothing was found: %+v, %v", out, err)
	}
	return out.Result
}

// finish is an attempt with its save.
func (r *rig) finish(t *testing.T, c store.Claim) {
	t.Helper()
	found := r.work(t, c)
	if err := r.DB.Complete(t.Context(), c, func(tx *store.Tx) error { return r.Save(t.Context(), tx, c, found) }); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) wantFault(t *testing.T, c store.Claim, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	out, err := r.Work(t.Context(), c)
	f := fault.Of(err)
	if f == nil || f.Kind != kind || f.Code != code {
		t.Fatalf("wanted %s (%s), got %+v, %v", code, kind, out, err)
	}
	return f
}

func (r *rig) images(t *testing.T, taskID string) []store.Image {
	t.Helper()
	images, err := r.DB.LoadImages(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func (r *rig) project(t *testing.T, taskID string) store.Project {
	t.Helper()
	project, err := r.DB.LoadProject(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

var noID = cmpopts.IgnoreFields(store.Project{}, "ID")
