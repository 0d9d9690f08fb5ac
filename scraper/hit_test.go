package scraper

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/fault"
	"castad/providers"
)

func TestSearchLocal(t *testing.T) {
	t.Parallel()
	const body = `{"total":2,"items":[
		{"title":"가평 <b>풀하우스</b>펜션 &amp; &lt;풀&gt;","link":"","category":"숙박&gt;펜션","address":"경기도 가평군 1","roadAddress":"경기도 가평군 가로 12","mapx":"1275188300","mapy":"377123400"},
		{"title":"둘","mapx":1275188300,"mapy":377123400}, {"title":null}]}`
	for _, key := range []SearchKey{DevelopersKey("id", "very-secret"), HubKey("id", "very-secret")} {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /naver/search"+key.Path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(key.IDHeader) != "id" || r.Header.Get(key.SecretHeader) != "very-secret" || r.FormValue("query") != "가평 펜션" || r.FormValue("display") != "5" {
				w.WriteHeader(http.StatusTeapot)
			}
			fmt.Fprint(w, body)
		})
		s := serve(t, mux)
		s.Key = key
		got, err := s.SearchLocal(t.Context(), " 가평  펜션 ")
		want := []providers.Hit{
			{Title: "가평 풀하우스펜션 & <풀>", Category: "숙박>펜션", Address: "경기도 가평군 1", RoadAddress: "경기도 가평군 가로 12", Longitude: 127.51883, Latitude: 37.71234},
			{Title: "둘", Longitude: 127.51883, Latitude: 37.71234},
		}
		if diff := cmp.Diff(got, want); diff != "" || err != nil {
			t.Errorf("%v (-got +want):\n%s", err, diff)
		}
		if printed := fmt.Sprintf("%v %+v %#v", key, key, key); strings.Contains(printed, "very-secret") {
			t.Errorf("the key prints its secret: %s", printed)
		}
	}
}

func TestSearchLocal_Refusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		body   string
		kind   fault.Kind
		code   string
		until  time.Time
	}{
		{400, `{"errorMessage":"Invalid display value","errorCode":"SE02"}`, fault.Permanent, "naver_search_refused", time.Time{}},
		{401, `{"errorMessage":"Authentication failed","errorCode":"024"}`, fault.Permanent, "naver_search_key_refused", time.Time{}},
		{403, ``, fault.Permanent, "naver_search_key_refused", time.Time{}},
		{404, `{"errorCode":"SE05"}`, fault.Permanent, "naver_search_refused", time.Time{}},
		{429, `{"errorMessage":"Rate limit exceeded.","errorCode":"012"}`, fault.RateLimited, "naver_search_limited", start.Add(time.Second)},
		{429, `{"error":{"errorCode":"430","message":"Quota exceeded"}}`, fault.RateLimited, "naver_search_limited", time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)},
		{500, `{"errorCode":"SE99"}`, fault.Retryable, "naver_unavailable", time.Time{}},
		{200, `<html>`, fault.Permanent, "naver_schema_changed", time.Time{}},
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("/", text(test.status, test.body))
		_, err := serve(t, mux).SearchLocal(t.Context(), "가평")
		got := fault.Of(err)
		if got == nil || got.Kind != test.kind || got.Code != test.code || !got.Until.Equal(test.until) {
			t.Errorf("%d %s: %v until %v, want %v %s until %v", test.status, test.body, err, got.Until, test.kind, test.code, test.until)
		}
	}
}

const forest = `{"type":"place","id":"1234567890","sid":"1234567890","title":"숲속하루펜션","x":"127.5012345","y":"37.6512345","jibunAddress":"경기 가평군 설악면 방일리 100-1","roadAddress":"경기 가평군 설악면 숲속길 12 1층"}`

func TestFindHit(t *testing.T) {
	t.Parallel()
	const sameNameFar = `{"id":"2222222","title":"숲속하루 펜션","x":127.1,"y":36.1,"roadAddress":"충남 공주시 길 3"}`
	const sameHouse = `{"sid":"3333333","title":"카페 나무","x":"127.5012345","y":"37.6512345","roadAddress":"경기 가평군 설악면 숲속길 12"}`
	full := providers.Hit{Title: "<b>숲속하루</b> 펜션", RoadAddress: "경기도 가평군 설악면 숲속길 12", Longitude: 127.5012, Latitude: 37.6512}
	moved := full
	moved.RoadAddress = "경기도 가평군 설악면 다른길 9"
	renamed := full
	renamed.Title = "숲속하루 글램핑"
	for _, test := range []struct {
		name       string
		hit        providers.Hit
		places     string
		id         string
		confidence float64
		code       string
	}{
		{"both agree", full, forest + "," + sameNameFar + "," + sameHouse, "1234567890", 1, ""},
		{"title and nearness", moved, sameNameFar + "," + forest, "1234567890", 0.9, ""},
		{"address alone", renamed, forest + "," + sameNameFar, "1234567890", 0.8, ""},
		{"same name elsewhere only", full, sameNameFar, "", 0, "place_ambiguous"},
		{"another business of the house", full, sameHouse, "", 0, "place_ambiguous"},
		{"twice the same", full, forest + "," + strings.ReplaceAll(forest, "1234567890", "1234567891"), "", 0, "place_ambiguous"},
		{"nothing", full, ``, "", 0, "place_not_found"},
		{"no place", full, `{"sid":"S1","title":"숲속하루펜션"}`, "", 0, "place_not_found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			mux.HandleFunc("GET /naver/map/p/api/search/instant-search", func(w http.ResponseWriter, r *http.Request) {
				if r.Referer() == "" || r.FormValue("coords") != "37.6512000,127.5012000" {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				fmt.Fprintf(w, `{"meta":{},"place":[%s]}`, test.places)
			})
			id, confidence, err := serve(t, mux).FindHit(t.Context(), test.hit)
			if id != test.id || confidence != test.confidence {
				t.Errorf("%q with %v (%v), want %q with %v", id, confidence, err, test.id, test.confidence)
			}
			if code := codeOf(err); code != test.code {
				t.Errorf("code %q, want %q", code, test.code)
			}
		})
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func TestFindHit_AsksWithTheTownSecond(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /naver/map/p/api/search/instant-search", func(w http.ResponseWriter, r *http.Request) {
		places := ""
		if r.FormValue("query") == "숲속하루펜션 가평군" {
			places = forest
		}
		fmt.Fprintf(w, `{"place":[%s]}`, places)
	})
	id, _, err := serve(t, mux).FindHit(t.Context(), providers.Hit{Title: "숲속하루펜션", RoadAddress: "경기도 가평군 설악면 숲속길 12"})
	if id != "1234567890" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
}

func TestFindHit_NamesCandidates(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/", text(200, `{"place":[`+forest+`]}`))
	_, _, err := serve(t, mux).FindHit(t.Context(), providers.Hit{Title: "숲속하루", Address: "서울 중구 1"})
	ambiguous, ok := errors.AsType[*AmbiguousError](err)
	if !ok || len(ambiguous.Candidates) != 1 || ambiguous.Candidates[0].PlaceID != "1234567890" || !strings.Contains(err.Error(), "숲속하루펜션 (경기 가평군") {
		t.Errorf("error %v", err)
	}
}

func TestFindHit_Blocked(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/", text(403, "<html>nginx</html>"))
	_, _, err := serve(t, mux).FindHit(t.Context(), providers.Hit{Title: "숲속하루"})
	if codeOf(err) != "naver_blocked" {
		t.Errorf("error %v", err)
	}
}
