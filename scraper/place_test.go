package scraper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"castad/internal/fault"
	"castad/providers"
)

var start = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve returns a Scraper whose every face is below one server.
func serve(t *testing.T, mux *http.ServeMux) *Scraper {
	t.Helper()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	key := DevelopersKey("id", "very-secret")
	return &Scraper{
		HTTP: server.Client(), Key: key, Now: func() time.Time { return start },
		URLs: BaseURLs{
			GraphQL: server.URL + "/naver/graphql", Page: server.URL + "/naver/place", Short: server.URL + "/naver/short",
			Map: server.URL + "/naver/map", Search: server.URL + "/naver/search/",
		},
	}
}

func text(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestPlace_ReadsGraphQL(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /naver/graphql", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Variables struct{ ID string }
			Query     string
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.Variables.ID != "1234567890" || !strings.Contains(body.Query, "placeDetail") ||
			r.Header.Get("Content-Type") != "application/json" || !strings.HasSuffix(r.Referer(), "/accommodation/1234567890/home") {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Write(file(t, "graphql.json"))
	})
	got, err := serve(t, mux).Place(t.Context(), "1234567890", "accommodation")
	want := providers.Place{
		ID: "nv1234567890", Name: "숲속하루펜션", Category: "펜션", Address: "경기 가평군 설악면 방일리 100-1", RoadAddress: "경기 가평군 설악면 숲속길 12",
		Region: "경기 가평군", Detail: "설악면 숲속길 12", Phone: "0507-1234-5678",
		Description: "조용한 숲속의 독채 펜션.\n아이와 함께 오기 좋습니다.",
		Facilities:  []string{"무선 인터넷", "수영장", "바비큐", "예약", "주차"},
		Keywords:    []string{"가평펜션", "불멍", "조용한 분위기", "가족과 함께"},
		Photos: []providers.Photo{
			{URL: "https://ldb-phinf.pstatic.net/20250913_77/1_GIF/1.gif", Width: 426, Height: 640},
			{URL: "https://ldb-phinf.pstatic.net/20250913_78/2_JPEG/2.jpg.jpg", Width: 4284, Height: 5712},
			{URL: "https://pup-review-phinf.pstatic.net/a/visitor1.jpg", Width: 800, Height: 600},
			{URL: "https://blogfiles.pstatic.net/c/3.png"},
		},
		Longitude: 127.5012345, Latitude: 37.6512345,
	}
	if diff := cmp.Diff(got, want); diff != "" || err != nil {
		t.Errorf("%v (-got +want):\n%s", err, diff)
	}
}

func TestPlace_FallsBackOnThePage(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /naver/graphql", text(400, `{"errors":[{"message":"Cannot query field \"themes\" on type \"PlaceDetail\"."}]}`))
	mux.HandleFunc("GET /naver/place/place/1234567890/home", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/naver/place/accommodation/1234567890/home", http.StatusFound)
	})
	mux.HandleFunc("GET /naver/place/accommodation/1234567890/home", text(200, string(file(t, "page.html"))))
	got, err := serve(t, mux).Place(t.Context(), "1234567890", "place")
	want := providers.Place{
		ID: "nv1234567890", Name: "숲속하루펜션", Category: "펜션", Address: "경기 가평군 설악면 방일리 100-1", RoadAddress: "경기 가평군 설악면 숲속길 12",
		Region: "경기 가평군", Detail: "설악면 숲속길 12", Phone: "0507-1234-5678", Description: "조용한 숲속의 독채 펜션.",
		Facilities: []string{"수영장", "바비큐", "주차"}, Keywords: []string{"가평펜션", "조용한 분위기"},
		Photos: []providers.Photo{
			{URL: "https://ldb-phinf.pstatic.net/a/1.jpeg", Width: 4284, Height: 5712},
			{URL: "https://pup-review-phinf.pstatic.net/v/1.jpg.jpg"},
		},
		Longitude: 127.5012345, Latitude: 37.6512345,
	}
	if diff := cmp.Diff(got, want); diff != "" || err != nil {
		t.Errorf("%v (-got +want):\n%s", err, diff)
	}
}

func TestPlace_OtherDetailBase(t *testing.T) {
	t.Parallel()
	got, err := readPage("77777", []byte(`window.__APOLLO_STATE__ = {"AccommodationDetailBase:77777":{"name":"가","roadAddress":12}};`))
	want := providers.Place{ID: "nv77777", Name: "가", RoadAddress: "12", Detail: "12"}
	if diff := cmp.Diff(got, want); diff != "" || err != nil {
		t.Errorf("%v (-got +want):\n%s", err, diff)
	}
}

func TestPlace_ErrorTable(t *testing.T) {
	t.Parallel()
	const captchaPage = `<html><script src="https://ncpt.naver.com/ncaptcha-api.js"></script>captcha</html>`
	const changed = `{"errors":[{"message":"Cannot query field"}]}`
	for _, test := range []struct {
		name          string
		graphql, page http.HandlerFunc
		kind          fault.Kind
		code          string
		until         time.Duration
		pages         int32 // requests that may reach the page
	}{
		{"429 with Retry-After", text(429, "", "Retry-After", "120"), nil, fault.RateLimited, "naver_blocked", 2 * time.Minute, 0},
		{"429 with a date", text(429, "", "Retry-After", start.Add(time.Hour).Format(http.TimeFormat)), nil, fault.RateLimited, "naver_blocked", time.Hour, 0},
		{"429 without", text(429, ""), nil, fault.RateLimited, "naver_blocked", 5 * time.Minute, 0},
		{"403", text(403, ""), nil, fault.RateLimited, "naver_blocked", 15 * time.Minute, 0},
		{"405 with captcha", text(405, captchaPage), nil, fault.RateLimited, "naver_blocked", 15 * time.Minute, 0},
		{"200 with captcha page", text(200, captchaPage), nil, fault.RateLimited, "naver_blocked", 5 * time.Minute, 0},
		{"200 with the block's words", text(200, "<html>과도한 접근 요청으로 서비스 이용이 제한되었습니다</html>"), nil, fault.RateLimited, "naver_blocked", 5 * time.Minute, 0},
		{"JSON asking for a captcha", text(200, `{"result":{"metaInfo":{"pageId":"ncaptcha-all-search-no-result"},"place":null},"ncaptcha":{"uuid":"1"}}`), nil, fault.RateLimited, "naver_blocked", 5 * time.Minute, 0},
		{"no such place", text(200, `{"data":{"business":null}}`), nil, fault.Permanent, "place_not_found", 0, 0},
		{"no base", text(200, `[{"data":{"business":{"base":null}}}]`), nil, fault.Permanent, "place_not_found", 0, 0},
		{"schema and page changed", text(200, changed), text(200, "<html>something else</html>"), fault.Permanent, "naver_schema_changed", 0, 1},
		{"schema changed, page blocked", text(400, changed), text(200, captchaPage), fault.RateLimited, "naver_blocked", 5 * time.Minute, 1},
		{"schema changed, page gone", text(400, changed), text(404, ""), fault.Permanent, "place_not_found", 0, 1},
		{"schema changed, page of no place", text(400, changed), text(200, `<script>window.__APOLLO_STATE__ = {"ROOT_QUERY":{}};</script>`), fault.Permanent, "place_not_found", 0, 1},
		{"both down", text(502, "bad gateway"), text(503, ""), fault.Retryable, "naver_unavailable", 0, 1},
		{"down, page changed", text(500, ""), text(200, "<html></html>"), fault.Retryable, "naver_unavailable", 0, 1},
		{"redirected away", text(400, changed), text(302, "", "Location", "https://evil.example/"), fault.Permanent, "url_not_naver", 0, 1},
		{"redirected for ever", text(400, changed), text(302, "", "Location", "/naver/place/place/1234567890/home"), fault.Permanent, "not_a_place_url", 0, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var pages atomic.Int32
			mux := http.NewServeMux()
			mux.HandleFunc("/naver/graphql", test.graphql)
			mux.HandleFunc("/naver/place/", func(w http.ResponseWriter, r *http.Request) {
				pages.Add(1)
				test.page(w, r)
			})
			_, err := serve(t, mux).Place(t.Context(), "1234567890", "")
			got := fault.Of(err)
			if got == nil || got.Kind != test.kind || got.Code != test.code {
				t.Fatalf("error %v, want %v %s", err, test.kind, test.code)
			}
			if test.until > 0 && !got.Until.Equal(start.Add(test.until)) {
				t.Errorf("until %v, want %v later than %v", got.Until, test.until, start)
			}
			if n := pages.Load(); n != test.pages {
				t.Errorf("%d requests reached the page, want %d", n, test.pages)
			}
		})
	}
}

// Whatever shape an answer has, it is read or refused: never a panic, never a place without a name.
func TestPlace_AnyShape(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		body := anyJSON(3).Draw(t, "body")
		graphql, err := json.Marshal(map[string]any{"data": map[string]any{"business": body}})
		if err != nil {
			t.Fatal(err)
		}
		state, _ := json.Marshal(map[string]any{"PlaceDetailBase:12345": body, "ROOT_QUERY": map[string]any{`placeDetail({"id":"12345"})`: body}})
		bare, _ := json.Marshal(body)
		places := make([]providers.Place, 4)
		errs := make([]error, 4)
		places[0], errs[0] = readGraphQL("12345", answer{body: graphql})
		places[1], errs[1] = readGraphQL("12345", answer{body: bare})
		places[2], errs[2] = readGraphQL("12345", answer{body: []byte("[" + string(bare) + "]")})
		places[3], errs[3] = readPage("12345", append([]byte("__APOLLO_STATE__ = "), state...))
		for i := range places {
			if (places[i].Name == "") != (errs[i] != nil) || errs[i] != nil && !fault.Classified(errs[i]) {
				t.Fatalf("%d: %+v, %v", i, places[i], errs[i])
			}
		}
	})
}

// anyJSON draws a document that uses the names of the real one with values of any type.
func anyJSON(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.IntRange(-9, 1e9), func(n int) any { return n }), rapid.Just[any]("https://a.example/1.jpg"))
	if depth == 0 {
		return leaf
	}
	names := rapid.SampledFrom([]string{"base", "name", "images", "images({})", "origin", "coordinate", "x", "informationTab", "facilities", "keywordList", "themes", "description", "__ref", "data", "errors", "message"})
	inner := rapid.Deferred(func() *rapid.Generator[any] { return anyJSON(depth - 1) })
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(inner, 0, 3), func(list []any) any { return list }),
		rapid.Map(rapid.MapOfN(names, inner, 0, 5), func(m map[string]any) any { return m }))
}

func TestPlace_Unreachable(t *testing.T) {
	t.Parallel()
	s := serve(t, http.NewServeMux())
	s.URLs.GraphQL = "http://127.0.0.1:1/graphql"
	_, err := s.Place(t.Context(), "1234567890", "")
	if got := fault.Of(err); got == nil || got.Kind != fault.Retryable || got.Code != "naver_unreachable" {
		t.Errorf("error %v", err)
	}
}

// A recorded state of a real page belongs to others and is only read where it lies beside the repository.
// recorded names a file with the state of a real page, which belongs to others and isn't part of the repository: the
// window.__APOLLO_STATE__ of place 1768171911, a restaurant, as it was in October 2025.
const recorded = "CASTAD_TEST_NAVER_STATE"

// All fields of a real page, against what a person reads in it.
func TestPlace_Recorded(t *testing.T) {
	t.Parallel()
	path := os.Getenv(recorded)
	if path == "" {
		path = "../../shared/fixtures/naver-apollo-state-1768171911.json"
	}
	state, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("there is no recorded page: set %s to the file of one (%v)", recorded, err)
	}
	got, err := readPage("1768171911", append([]byte("window.__APOLLO_STATE__ = "), state...))
	if err != nil {
		t.Fatal(err)
	}
	photos, description := got.Photos, got.Description
	got.Photos, got.Description = nil, ""
	want := providers.Place{
		ID: "nv1768171911", Name: "히도", Category: "돈가스", Address: "경남 창원시 마산회원구 양덕동 7-62", RoadAddress: "경남 창원시 마산회원구 산호천동길 226 1층",
		Region: "경남 창원시 마산회원구", Detail: "산호천동길 226 1층", Longitude: 128.5813429, Latitude: 35.2348228,
		Facilities: []string{"포장", "배달", "무선 인터넷", "예약", "유아의자"},
		Keywords:   []string{"마산역돈까스", "마산터미널돈까스", "합성동돈까스", "마산히레까스", "창원시마산구돈까스", "데이트하기 좋은", "조용한 분위기", "모임하기 좋은"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("place (-want +got):\n%s", diff)
	}
	if n := len([]rune(description)); n != 811 || !strings.HasPrefix(description, "전국에 소문난 마산 돈까스 맛집\n\n안녕하세요") || !strings.HasSuffix(description, "주차권 보여주시면 1,000원 지원해드립니다!") {
		t.Errorf("the description has %d characters: %.60q", n, description)
	}
	sizes := [][2]int{{4284, 5712}, {3024, 4032}, {3000, 3000}, {3000, 3000}, {1081, 1440}, {1440, 1440}, {2610, 3480}, {2810, 3747}, {3024, 4032}}
	if len(photos) != maxPhotos {
		t.Fatalf("%d photos", len(photos))
	}
	for i, photo := range photos {
		if i >= len(sizes) { // visitors' photos come after the owner's, and don't tell their size
			if !strings.HasPrefix(photo.URL, "https://pup-review-phinf.pstatic.net/") || photo.Width != 0 || photo.Height != 0 {
				t.Errorf("photo %d isn't a visitor's: %+v", i, photo)
			}
			continue
		}
		if !strings.HasPrefix(photo.URL, "https://ldb-phinf.pstatic.net/") || photo.Width != sizes[i][0] || photo.Height != sizes[i][1] {
			t.Errorf("photo %d is %+v, wanted the owner's of %v", i, photo, sizes[i])
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /naver/short/good", text(307, "", "Location", "https://map.naver.com/?lat=1&next=1"))
	mux.HandleFunc("GET /naver/map/", func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		http.Redirect(w, r, "https://m.map.naver.com/?pinType=site&pinId=1234567890", http.StatusFound)
	})
	mux.HandleFunc("GET /naver/short/away", text(307, "", "Location", "http://169.254.169.254/latest"))
	mux.HandleFunc("GET /naver/short/userinfo", text(307, "", "Location", "https://naver.me:x@evil.example/"))
	mux.HandleFunc("GET /naver/short/loop", text(307, "", "Location", "https://naver.me/loop"))
	mux.HandleFunc("GET /naver/short/dead", text(404, "<html>nothing</html>"))
	mux.HandleFunc("GET /naver/short/busy", text(429, ""))
	s := serve(t, mux)
	ref, err := s.Resolve(t.Context(), Ref{Short: true, URL: "https://naver.me/good"})
	if err != nil || ref.PlaceID != "1234567890" || fetched.Load() != 1 {
		t.Errorf("%+v, %v after %d map pages, want one", ref, err, fetched.Load())
	}
	for code, want := range map[string]string{
		"away": "url_not_naver", "userinfo": "url_not_naver", "loop": "not_a_place_url", "dead": "place_id_missing", "busy": "naver_blocked",
	} {
		_, err := s.Resolve(t.Context(), Ref{Short: true, URL: "https://naver.me/" + code})
		if err == nil || fault.Of(err).Code != want {
			t.Errorf("%s: %v, want %s", code, err, want)
		}
	}
}

// With an interval the second request waits for its turn, and gives up with its context.
func TestPlace_WaitsForItsTurn(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("POST /naver/graphql", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Write(file(t, "graphql.json"))
	})
	s := serve(t, mux)
	s.Interval = time.Hour
	if _, err := s.Place(t.Context(), "1234567890", ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Place(ctx, "1234567890", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests left, want one", n)
	}
}
