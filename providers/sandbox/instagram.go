package sandbox

import (
	"cmp"
	"context"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// container is an Instagram media container and, once published, its post.
type container struct {
	User     string `json:"user"`
	VideoURL string `json:"video_url"`
	Caption  string `json:"caption"`
	Fetched  bool   `json:"fetched,omitempty"`
	Fail     string `json:"fail,omitempty"` // subcode of an error
	Media    string `json:"media,omitempty"`
	Created  int64  `json:"created"`
	Ready    int64  `json:"ready"`
	Ends     int64  `json:"ends"` // unless published
	Posted   int64  `json:"posted,omitempty"`
}

func (s *Server) routeInstagram(on router, m *http.ServeMux) {
	on("POST /instagram/{v}/{user}/media", "instagram", "create", s.createContainer)
	on("POST /instagram/{v}/{user}/media_publish", "instagram", "publish", s.publishReel)
	on("GET /instagram/{v}/{user}/content_publishing_limit", "instagram", "limit", graphReading(s.publishingLimit))
	on("GET /instagram/{v}/{user}/media", "instagram", "list", graphReading(s.listReels))
	on("GET /instagram/{v}/{id}", "instagram", "read", graphReading(s.readGraph))
	m.HandleFunc("GET /instagram/reel/{id}", s.showReel)
}

// dailyPosts is far more than real accounts have (25 to 100): loads of tests publish more.
const dailyPosts = 100_000

func graphError(w http.ResponseWriter, code, subcode int, message string) {
	writeJSON(w, 400, object{"error": object{"message": message, "type": "OAuthException", "code": code, "error_subcode": subcode,
		"is_transient": false, "error_user_title": message, "error_user_msg": message, "fbtrace_id": "AsandboxAAAA"}})
}

// graphForm takes parameters from query, form or JSON, and refuses a missing token.
func graphForm(w http.ResponseWriter, r *http.Request) (func(string) string, bool) {
	fields := map[string]any{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		_ = readJSON(r, &fields) // what is missing is refused by name
	}
	get := func(name string) string {
		if v, ok := fields[name].(string); ok {
			return v
		}
		return r.FormValue(name)
	}
	token := get("access_token")
	if token == "wrong" || token == "" && !bearer(r) {
		graphError(w, 190, 463, "Error validating access token: Session has expired.")
		return nil, false
	}
	return get, true
}

// graphReading refuses reads without a token.
func graphReading(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, ok := graphForm(w, r); ok {
			next(w, r)
		}
	}
}

func (s *Server) createContainer(w http.ResponseWriter, r *http.Request) {
	get, ok := graphForm(w, r)
	if !ok {
		return
	}
	row := container{User: r.PathValue("user"), VideoURL: get("video_url"), Caption: get("caption"), Created: nowMillis()}
	switch {
	case get("media_type") != "REELS":
		graphError(w, 100, 2207023, "The media type is unknown.")
		return
	case row.VideoURL == "":
		graphError(w, 100, 0, "The parameter video_url is required.")
		return
	case utf8.RuneCountInString(row.Caption) > 2200:
		graphError(w, 36004, 2207010, "The caption is too long.")
		return
	}
	row.Ends = row.Created + cmp.Or(s.cfg.Durations.Container, 24*time.Hour).Milliseconds()
	row.Ready = row.Created + s.pick(s.cfg.Durations.Process, 2*time.Second).Milliseconds()
	for what, subcode := range map[string]string{"failed": "2207032", "format": "2207026", "unfetched": "2207052"} {
		if outcome(r, what) {
			row.Fail, row.Fetched = subcode, true
		}
	}
	id, err := s.containers.add(func(n uint64) (string, container) { return strconv.FormatUint(17900000000000000+n, 10), row })
	if err != nil {
		graphError(w, 1, 0, err.Error())
		return
	}
	s.fetchReel(id)
	writeJSON(w, 200, object{"id": id})
}

// fetchReel loads the video after the answer, as Meta does.
func (s *Server) fetchReel(id string) {
	row, ok := s.containers.find(id)
	if !ok || row.Fetched {
		return
	}
	s.fast.at(time.Now(), func(ctx context.Context) {
		err := s.fetch(ctx, row.VideoURL, filepath.Join(s.cfg.Dir, "reels", id+".mp4"), "video/")
		if ctx.Err() != nil {
			return
		}
		_, _ = s.containers.change(id, func(c *container) {
			if c.Fetched = true; err != nil {
				c.Fail = "2207052"
			}
		})
	})
}

func (c container) status() string {
	switch now := nowMillis(); {
	case c.Media != "":
		return "PUBLISHED"
	case c.Fetched && c.Fail != "" && now >= c.Ready:
		return "ERROR"
	case now > c.Ends:
		return "EXPIRED"
	case c.Fetched && now >= c.Ready:
		return "FINISHED"
	}
	return "IN_PROGRESS"
}

func (s *Server) publishReel(w http.ResponseWriter, r *http.Request) {
	get, ok := graphForm(w, r)
	if !ok {
		return
	}
	id := get("creation_id")
	row, found := s.containers.find(id)
	switch status := row.status(); {
	case !found || status == "ERROR":
		graphError(w, 24, 2207006, "The media was not found.")
		return
	case status == "EXPIRED":
		graphError(w, 24, 2207008, "The container has expired.")
		return
	case status == "IN_PROGRESS":
		graphError(w, 9007, 2207027, "Media ID is not available")
		return
	case status == "PUBLISHED":
		graphError(w, 100, 0, "The container was published already.") // which subcode isn't documented
		return
	case outcome(r, "quota"):
		graphError(w, 9, 2207042, "The daily number of posts is reached.")
		return
	}
	n, _ := strconv.ParseUint(id, 10, 64) // our own ids
	row, err := s.containers.change(id, func(c *container) {
		c.Media, c.Posted = strconv.FormatUint(n+200000000000000, 10), nowMillis()
	})
	if err == nil {
		err = s.bill.add(row.charge())
	}
	if err != nil {
		graphError(w, 1, 0, err.Error())
		return
	}
	writeJSON(w, 200, object{"id": row.Media})
}

// charge is that of a published container.
func (c container) charge() charge {
	return charge{Provider: "instagram", Kind: "post", ID: c.Media, Mark: c.Caption}
}

func (s *Server) publishingLimit(w http.ResponseWriter, r *http.Request) {
	used := 0
	for _, id := range s.containers.recent(1000) {
		row, _ := s.containers.find(id)
		if row.User == r.PathValue("user") && row.Posted > nowMillis()-24*time.Hour.Milliseconds() {
			used++
		}
	}
	if outcome(r, "quota") {
		used = dailyPosts
	}
	writeJSON(w, 200, object{"data": []any{object{"quota_usage": used, "config": object{"quota_total": dailyPosts, "quota_duration": 86400}}}})
}

func (s *Server) mediaObject(row container) object {
	return object{"id": row.Media, "caption": row.Caption, "media_type": "VIDEO", "media_product_type": "REELS", "shortcode": row.Media,
		"timestamp": time.UnixMilli(row.Posted).UTC().Format("2006-01-02T15:04:05-0700"), "permalink": s.cfg.PublicURL + "/instagram/reel/" + row.Media}
}

func (s *Server) listReels(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > 100 {
		limit = 25
	}
	data, after, next := []any{}, r.URL.Query().Get("after"), ""
	paging := object{}
	for _, id := range s.containers.recent(keepRows) {
		row, _ := s.containers.find(id)
		if row.Media == "" || row.User != r.PathValue("user") {
			continue
		}
		if after != "" { // the cursor is the id of the last post of the page before
			if row.Media == after {
				after = ""
			}
			continue
		}
		if len(data) == limit {
			paging["next"] = s.cfg.PublicURL + r.URL.Path + "?after=" + next
			break
		}
		data, next = append(data, s.mediaObject(row)), row.Media
	}
	paging["cursors"] = object{"after": next}
	writeJSON(w, 200, object{"data": data, "paging": paging})
}

// readGraph reads a container, a post, or the account ("me").
func (s *Server) readGraph(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if id == "me" {
		writeJSON(w, 200, object{"id": "17841400000000001", "user_id": "17841400000000001", "username": "sandbox", "name": "Sandbox", "account_type": "BUSINESS"})
		return
	}
	if row, ok := s.containers.find(id); ok {
		text := map[string]string{"ERROR": "Error: Media upload has failed with error code " + row.Fail,
			"IN_PROGRESS": "In Progress: Media is still being processed."}[row.status()]
		writeJSON(w, 200, object{"id": id, "status_code": row.status(), "status": text})
		return
	}
	if row, _, ok := s.reel(id); ok {
		writeJSON(w, 200, s.mediaObject(row))
		return
	}
	graphError(w, 100, 33, "Unsupported get request. Object does not exist.")
}

// reel finds a post by its media id.
func (s *Server) reel(media string) (container, string, bool) {
	n, err := strconv.ParseUint(media, 10, 64)
	if err != nil || n < 200000000000000 {
		return container{}, "", false
	}
	id := strconv.FormatUint(n-200000000000000, 10)
	row, ok := s.containers.find(id)
	return row, id, ok && row.Media == media
}

func (s *Server) showReel(w http.ResponseWriter, r *http.Request) {
	row, id, ok := s.reel(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	showMovie(w, "Reel", row.Caption, "/files/reels/"+id+".mp4")
}
