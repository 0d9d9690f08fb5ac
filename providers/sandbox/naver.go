package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func (s *Server) routeNaver(on router) {
	on("POST /naver/graphql", "naver", "read", s.graphQL)
	on("GET /naver/place/{type}/{id}/{tab}", "naver", "page", s.placePage)
	on("GET /naver/place/place/{id}", "naver", "page", s.placePage)
	on("GET /naver/short/{id}", "naver", "short", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.cfg.PublicURL+"/naver/pin?pinType=site&pinId="+r.PathValue("id"), 307)
	})
	on("GET /naver/pin", "naver", "short", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.cfg.PublicURL+"/naver/place/place/"+r.URL.Query().Get("pinId"), 302)
	})
	on("GET /naver/search/v1/search/local.json", "naver", "search", s.localSearch)
	on("GET /naver/search/search/v1/local", "naver", "search", s.localSearch)
	on("GET /naver/map/p/api/search/instant-search", "naver", "instant", s.instantSearch)
}

func (s *Server) place(id string) (Place, bool) {
	if s.cfg.Atlas == nil {
		return Place{}, false
	}
	return s.cfg.Atlas.Find(id)
}

func (s *Server) search(query string) []Place {
	if s.cfg.Atlas == nil || query == "" {
		return nil
	}
	return s.cfg.Atlas.Search(query)
}

// graphQL answers one operation or a batch in the shape of the question.
func (s *Server) graphQL(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil || kind != "application/json" {
		writeJSON(w, 400, object{"errors": []any{object{"message": "This operation has been blocked as a potential Cross-Site Request Forgery (CSRF)."}}})
		return
	}
	type operation struct {
		Variables struct {
			ID string `json:"id"`
		} `json:"variables"`
	}
	answer := func(o operation) object {
		var business any
		if p, ok := s.place(o.Variables.ID); ok {
			business = s.business(p)
		}
		return object{"data": object{"business": business}}
	}
	var one operation
	var many []operation
	if json.Unmarshal(body, &one) == nil {
		writeJSON(w, 200, answer(one))
		return
	}
	if json.Unmarshal(body, &many) != nil {
		writeJSON(w, 400, object{"errors": []any{object{"message": "Syntax Error"}}})
		return
	}
	out := []any{}
	for _, o := range many {
		out = append(out, answer(o))
	}
	writeJSON(w, 200, out)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func degrees(f float64) string { return strconv.FormatFloat(f, 'f', 7, 64) }

func placeBase(p Place) object {
	return object{"__typename": "PlaceDetailBase", "id": p.ID, "name": p.Name, "category": p.Category, "roadAddress": p.RoadAddress, "address": p.Address,
		"phone": nil, "virtualPhone": orNull(p.Phone), "conveniences": p.Facilities, "microReviews": nil, "visitorReviewsTotal": p.Reviews,
		"visitorReviewsScore": p.Score, "coordinate": object{"x": degrees(p.Longitude), "y": degrees(p.Latitude), "mapZoomLevel": 12}}
}

func (s *Server) placeImages(p Place) object {
	images := []any{}
	for _, ph := range p.Photos {
		images = append(images, object{"origin": s.cfg.PublicURL + "/files/photos/" + ph.Name, "number": nil, "infoTitle": nil, "url": nil,
			"desc": nil, "width": ph.Width, "height": ph.Height, "source": nil})
	}
	return object{"images": images, "totalImages": len(images)}
}

func information(p Place) object {
	facilities := []any{}
	for i, f := range p.Facilities {
		facilities = append(facilities, object{"id": strconv.Itoa(i + 1), "name": f, "i18nName": f})
	}
	return object{"facilities": facilities, "keywordList": p.Keywords, "parkingInfo": nil}
}

func (s *Server) business(p Place) object {
	return object{"base": placeBase(p), "images": s.placeImages(p), "cpImages": object{"total": 0, "images": []any{}},
		"description": orNull(p.Description), "themes": p.Themes, "informationTab": information(p)}
}

func (s *Server) placePage(w http.ResponseWriter, r *http.Request) {
	p, ok := s.place(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	if kind := r.PathValue("type"); kind == "" || kind == "place" && p.Type != "place" && p.Type != "" {
		http.Redirect(w, r, s.cfg.PublicURL+"/naver/place/"+p.Type+"/"+p.ID+"/home", 302)
		return
	}
	root := fmt.Sprintf(`placeDetail({"input":{"deviceType":"pc","id":"%s","isNx":false}})`, p.ID)
	state := object{"PlaceDetailBase:" + p.ID: placeBase(p), "ROOT_QUERY": object{"__typename": "Query", root: object{
		"base": object{"__ref": "PlaceDetailBase:" + p.ID}, `images({"source":["starbucks","tpirates"]})`: s.placeImages(p),
		`description({"source":["shopWindow"]})`: orNull(p.Description), "themes": p.Themes,
		`informationTab({"providerSource":["pbp"]})`: information(p)}}}
	b, err := json.Marshal(state)
	if err != nil {
		http.Error(w, "state", 500)
		return
	}
	b = bytes.ReplaceAll(b, []byte("/"), []byte(`\u002F`))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, `<!doctype html><html><head><title>네이버 플레이스</title><meta property="og:title" content="%s : 네이버"></head><body><script>
          window.__APOLLO_STATE__ = %s;
          window.__PLACE_STATE__ = {"locale":"ko"};
          window.__LOCATION_STATE__ = {} || {};
</script></body></html>`, html.EscapeString(p.Name), b)
}

// localSearch is the official search, by the keys of the developers' centre or of the API hub.
func (s *Server) localSearch(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("X-Naver-Client-Id") + r.Header.Get("X-NCP-APIGW-API-KEY-ID")
	secret := r.Header.Get("X-Naver-Client-Secret") + r.Header.Get("X-NCP-APIGW-API-KEY")
	if id == "" || secret == "" || secret == "wrong" {
		writeJSON(w, 401, object{"errorMessage": "Authentication failed (인증에 실패하였습니다.)", "errorCode": "024"})
		return
	}
	query, display := r.URL.Query().Get("query"), 1
	if d := r.URL.Query().Get("display"); d != "" {
		display, _ = strconv.Atoi(d) // 0 is refused below
	}
	if query == "" || display < 1 || display > 5 {
		writeJSON(w, 400, object{"errorMessage": "Invalid display value (부적절한 display 값입니다.)", "errorCode": "SE02"})
		return
	}
	items := []any{}
	for _, p := range s.search(query) {
		if len(items) < display {
			title := strings.ReplaceAll(html.EscapeString(p.Name), html.EscapeString(query), "<b>"+html.EscapeString(query)+"</b>")
			items = append(items, object{"title": title, "link": "", "category": p.Category, "description": "", "telephone": "",
				"address": p.Address, "roadAddress": p.RoadAddress,
				"mapx": strconv.FormatInt(int64(p.Longitude*1e7), 10), "mapy": strconv.FormatInt(int64(p.Latitude*1e7), 10)})
		}
	}
	writeJSON(w, 200, object{"lastBuildDate": time.Now().Format(time.RFC1123Z), "total": len(items), "start": 1, "display": len(items), "items": items})
}

func (s *Server) instantSearch(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.Header.Get("Referer") == "" {
		http.Error(w, "<html>403 Forbidden</html>", 403)
		return
	}
	if q.Get("coords") == "" {
		http.Error(w, "", 500)
		return
	}
	hits := []any{}
	if utf8.RuneCountInString(q.Get("query")) <= 40 {
		for _, p := range s.search(q.Get("query")) {
			hits = append(hits, object{"type": "place", "id": p.ID, "sid": p.ID, "title": p.Name, "x": degrees(p.Longitude), "y": degrees(p.Latitude),
				"ctg": p.Category, "jibunAddress": p.Address, "roadAddress": p.RoadAddress, "review": object{"count": strconv.Itoa(p.Reviews)}})
		}
	}
	writeJSON(w, 200, object{"meta": object{"query": q.Get("query")}, "ac": []any{}, "place": hits[:min(len(hits), 10)], "address": []any{}, "all": []any{}})
}

func (s *Server) servePhoto(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Atlas == nil {
		http.NotFound(w, r)
		return
	}
	b, ok := s.cfg.Atlas.Photo(r.PathValue("name"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", http.DetectContentType(b))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
