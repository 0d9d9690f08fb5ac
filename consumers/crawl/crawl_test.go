package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/sandbox"
	"castad/store"
)

func TestCrawl_KeepsThePlaceAndItsPhotos(t *testing.T) {
	t.Parallel()
	known := village()
	r := open(t, known)
	c := r.submit(t, owner, store.Source{URL: forest})
	r.finish(t, c)
	want := store.Project{TaskID: c.TaskID, UserUUID: owner, PlaceID: "nv" + forestID, StoreName: "숲속하루펜션", Category: "펜션", Region: "경기 가평군",
		DetailRegionInfo: "설악면 숲속길 12", Address: "경기 가평군 설악면 방일리 100-1", RoadAddress: "경기도 가평군 설악면 숲속길 12", Phone: "0507-1300-0001",
		Description: known.places[0].Description, Facilities: store.JSON[[]string]{V: []string{"바비큐", "불멍"}}, Language: providers.Korean}
	if diff := cmp.Diff(want, r.project(t, c.TaskID), noID); diff != "" {
		t.Errorf("project (-want +got):\n%s", diff)
	}
	var photos []store.Image
	for i, p := range []struct {
		name          string
		width, height int
	}{{"path.png", 120, 80}, {"stream.png", 80, 120}, {"lounge.png", 100, 100}} {
		photos = append(photos, store.Image{TaskID: c.TaskID, Revision: 1, Position: i, SourceURL: r.photo(p.name), ContentType: "image/png", Width: p.width, Height: p.height,
			URL: fmt.Sprintf("%s/devstoreaccount1/media/%s%%2Fcrawl-1%%2Fphoto-%02d.png", r.URL, c.TaskID, i), SizeBytes: int64(len(known.pictures[p.name]))})
	}
	got := r.images(t, c.TaskID)
	if diff := cmp.Diff(photos, got); diff != "" {
		t.Errorf("photos (-want +got):\n%s", diff)
	}
	for i, p := range got {
		if string(r.Get(t, p.URL)) != string(r.Get(t, p.SourceURL)) {
			t.Errorf("photo %d isn't the place's", i)
		}
	}
}

// A redelivery after a crash before the save finds the same, and keeps it under the same names.
func TestCrawl_AgainAfterACrashOverwrites(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	c := r.submit(t, owner, store.Source{URL: forest})
	first := r.work(t, c)
	once := r.requests("PUT /devstoreaccount1/media/")
	if diff := cmp.Diff(first, r.work(t, c)); diff != "" {
		t.Errorf("the second time (-first +second):\n%s", diff)
	}
	var twice []string
	for _, request := range once {
		twice = append(twice, request, request)
	}
	if diff := cmp.Diff(twice, r.requests("PUT /devstoreaccount1/media/")); diff != "" || len(once) != 3 {
		t.Errorf("kept %d files at first, then (-want +got):\n%s", len(once), diff)
	}
}

func TestCrawl_FindsThePlaceByWhatPeopleGive(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	for name, source := range map[string]store.Source{
		"address bar": {URL: forest + "?c=15.00,0,0,0,dh"},
		"place page":  {URL: "https://pcmap.place.naver.com/accommodation/" + forestID + "/home"},
		"short link":  {URL: "https://naver.me/" + forestID},
		"share text":  {URL: "[네이버지도]\n숲속하루펜션\nhttps://naver.me/" + forestID},
		"bare id":     {URL: forestID},
		"search hit": {Hit: &providers.Hit{Title: "숲속하루펜션", Address: "경기도 가평군 설악면 방일리 100-1",
			RoadAddress: "경기도 가평군 설악면 숲속길 12 1층", Longitude: 127.5, Latitude: 37.65}},
	} {
		t.Run(name, func(t *testing.T) {
			if found := r.work(t, r.submit(t, owner, source)); found.Project.PlaceID != "nv"+forestID || len(found.Images) != 3 {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func TestCrawl_DoubtfulPlacesAreNotGuessed(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	for name, row := range map[string]struct {
		source store.Source
		code   string
	}{
		"two of one name":     {store.Source{Hit: &providers.Hit{Title: "바다별장"}}, "place_ambiguous"},
		"a hit of nothing":    {store.Source{Hit: &providers.Hit{Title: "없는 펜션", RoadAddress: "경기 가평군 없는길 1"}}, "place_not_found"},
		"a place that's gone": {store.Source{URL: "https://map.naver.com/p/entry/place/1999999999"}, "place_not_found"},
		"a dead short link":   {store.Source{URL: "https://naver.me/gone"}, "place_id_missing"},
		"no place at all":     {store.Source{URL: "https://map.naver.com/p/search/펜션"}, "place_id_missing"},
		"another site":        {store.Source{URL: "https://example.com/entry/place/" + forestID}, "url_not_naver"},
		"nothing":             {store.Source{}, "not_a_place_url"},
	} {
		t.Run(name, func(t *testing.T) {
			r.wantFault(t, r.submit(t, owner, row.source), fault.Permanent, row.code)
		})
	}
	if kept := r.requests("PUT /devstoreaccount1/media/"); len(kept) > 0 {
		t.Errorf("kept %v", kept)
	}
}

// unsure is a source that has found something.
type unsure struct{ placeSource }

func (unsure) FindHit(context.Context, providers.Hit) (string, float64, error) {
	return forestID, 0.5, nil
}

func TestCrawl_UnsureFindingIsNoPlace(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	r.Source = unsure{r.Source}
	r.wantFault(t, r.submit(t, owner, store.Source{Hit: &providers.Hit{Title: "숲속하루펜션"}}), fault.Permanent, "place_ambiguous")
}

func TestCrawl_TroubleIsClassified(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	graphQL := func(f sandbox.Fault) sandbox.Fault { f.Provider, f.Call = "naver", "read"; return f }
	page := func(f sandbox.Fault) sandbox.Fault { f.Provider, f.Call = "naver", "page"; return f }
	for name, row := range map[string]struct {
		faults []sandbox.Fault
		kind   fault.Kind
		code   string
	}{
		"too many questions": {[]sandbox.Fault{graphQL(sandbox.Fault{What: "status", Status: 429, RetryAfter: "120"})}, fault.RateLimited, "naver_blocked"},
		"locked out":         {[]sandbox.Fault{graphQL(sandbox.Fault{What: "status", Status: 403})}, fault.RateLimited, "naver_blocked"},
		"captcha": {[]sandbox.Fault{graphQL(sandbox.Fault{What: "status", Status: 200, Body: "<html>과도한 접근 요청으로 서비스 이용이 제한되었습니다</html>"})},
			fault.RateLimited, "naver_blocked"},
		"cut line":        {[]sandbox.Fault{graphQL(sandbox.Fault{What: "cut"})}, fault.Retryable, "naver_unreachable"},
		"all down":        {[]sandbox.Fault{graphQL(sandbox.Fault{What: "status", Status: 502}), page(sandbox.Fault{What: "status", Status: 502})}, fault.Retryable, "naver_unavailable"},
		"all of new form": {[]sandbox.Fault{graphQL(sandbox.Fault{What: "garbage"}), page(sandbox.Fault{What: "garbage"})}, fault.Permanent, "naver_schema_changed"},
		"page locked":     {[]sandbox.Fault{graphQL(sandbox.Fault{What: "garbage"}), page(sandbox.Fault{What: "status", Status: 429})}, fault.RateLimited, "naver_blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range row.faults {
				row.faults[i].Count = 1
			}
			r.Fail(t, row.faults...)
			c := r.submit(t, owner, store.Source{URL: forest})
			f := r.wantFault(t, c, row.kind, row.code)
			if row.kind == fault.RateLimited && !f.Until.After(time.Now()) {
				t.Errorf("again at %v", f.Until)
			}
			if found := r.work(t, c); found.Project.StoreName != "숲속하루펜션" {
				t.Errorf("after the trouble: %+v", found)
			}
		})
	}
}

func TestCrawl_PageStandsInForTheEndpoint(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	c := r.submit(t, owner, store.Source{URL: forest})
	want := r.work(t, c)
	r.Fail(t, sandbox.Fault{Provider: "naver", Call: "read", What: "garbage"})
	if diff := cmp.Diff(want, r.work(t, c)); diff != "" {
		t.Errorf("by the page (-endpoint +page):\n%s", diff)
	}
}

func TestCrawl_PlaceByHand(t *testing.T) {
	t.Parallel()
	r := open(t, village())
	r.Fresh = time.Hour
	for range 2 { // such a place serves no other task
		c := r.submit(t, owner, store.Source{Manual: &store.Manual{Name: `바다 "별장"`, Region: "강원 강릉시", DetailRegionInfo: "경포대 앞",
			Images: []string{r.photo("stream.png"), r.photo("path.png")}}})
		r.finish(t, c)
		want := store.Project{TaskID: c.TaskID, UserUUID: owner, StoreName: `바다 "별장"`, Region: "강원 강릉시", DetailRegionInfo: "경포대 앞",
			Facilities: store.JSON[[]string]{V: []string{}}, Language: providers.Korean}
		if diff := cmp.Diff(want, r.project(t, c.TaskID), noID); diff != "" {
			t.Errorf("project (-want +got):\n%s", diff)
		}
		if got := r.images(t, c.TaskID); len(got) != 2 || got[0].SourceURL != r.photo("stream.png") || got[1].SourceURL != r.photo("path.png") {
			t.Errorf("photos: %+v", got)
		}
	}
	if asked := r.requests("POST /naver/"); len(asked) > 0 {
		t.Errorf("asked %v about a place given by hand", asked)
	}
}

// Whatever a page says has to fit into the rows, and comes back as it went in.
func TestCrawl_HostilePlaceIsCutToSize(t *testing.T) {
	t.Parallel()
	known := town{pictures: village().pictures}
	evil := sandbox.Place{ID: forestID, Type: "accommodation", Name: "<b>숲</b>\x00\u202e" + strings.Repeat("가", 5000), Category: strings.Repeat("펜션", 500),
		RoadAddress: "경기 가평군 " + strings.Repeat("길", 4000), Address: strings.Repeat("번지", 4000), Phone: strings.Repeat("0507-", 400),
		Description: "{\"name\":\"남의 가게\"} ';DROP TABLE project;--\n" + strings.Repeat("🌲", 200_000), Longitude: 1e300, Latitude: -1e300}
	for i := range 500 {
		evil.Facilities = append(evil.Facilities, fmt.Sprintf("%d%s", i, strings.Repeat("시설", 300)))
		evil.Photos = append(evil.Photos, sandbox.Photo{Name: fmt.Sprintf("no-%d.png", i), Width: -5, Height: 1 << 40})
	}
	evil.Photos = append([]sandbox.Photo{{Name: "path.png"}, {Name: "path.png"}}, evil.Photos...)
	known.places = []sandbox.Place{evil}
	r := open(t, known)
	c := r.submit(t, owner, store.Source{URL: forest})
	r.finish(t, c)
	got := r.project(t, c.TaskID)
	for what, text := range map[string]struct {
		got  string
		most int
	}{"name": {got.StoreName, 200}, "category": {got.Category, 100}, "region": {got.Region, 100}, "detail": {got.DetailRegionInfo, 300},
		"address": {got.Address, 300}, "road address": {got.RoadAddress, 300}, "phone": {got.Phone, 40}, "description": {got.Description, 10_000}} {
		if n := len([]rune(text.got)); n == 0 || n > text.most || strings.ContainsAny(text.got, "\x00\u202e\uFFFD") {
			t.Errorf("the %s has %d characters: %.60q", what, n, text.got)
		}
	}
	if !strings.HasPrefix(got.StoreName, "<b>숲</b>가가") || !strings.HasPrefix(got.Description, "{\"name\":\"남의 가게\"} ';DROP TABLE project;--\n🌲") {
		t.Errorf("name %.40q, description %.60q", got.StoreName, got.Description)
	}
	if n := len(got.Facilities.V); n == 0 || n > 40 {
		t.Errorf("%d facilities", n)
	}
	if photos := r.images(t, c.TaskID); len(photos) != 1 {
		t.Errorf("%d photos, wanted the only one", len(photos))
	}
	if asked := r.requests("GET /files/photos/"); len(asked) > 2*r.Photos.Most {
		t.Errorf("%d photos were asked for", len(asked))
	}
}
