package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const channelID, uploadsID = "UCsandbox0000000000000000", "UUsandbox0000000000000000"

// session is a resumable upload; its bytes lie in a file. Video is set with the last byte.
type session struct {
	Meta  videoMeta `json:"meta"`
	Total int64     `json:"total"` // 0 while unknown
	Video string    `json:"video,omitempty"`
	End   string    `json:"end,omitempty"` // wished uploadStatus
	Ends  int64     `json:"ends"`          // of its life
}

type videoMeta struct {
	Snippet struct {
		Title       string   `json:"title"`
		Description string   `json:"description"`
		Tags        []string `json:"tags,omitempty"`
		CategoryID  string   `json:"categoryId"`
		Language    string   `json:"defaultLanguage,omitempty"`
		Audio       string   `json:"defaultAudioLanguage,omitempty"`
	} `json:"snippet"`
	Status struct {
		Privacy   string `json:"privacyStatus"`
		PublishAt string `json:"publishAt,omitempty"`
		Kids      bool   `json:"selfDeclaredMadeForKids"`
		Synthetic bool   `json:"containsSyntheticMedia"`
	} `json:"status"`
}

type video struct {
	Session string    `json:"session"` // that it came by
	Meta    videoMeta `json:"meta"`
	End     string    `json:"end"`
	Created int64     `json:"created"`
	Ready   int64     `json:"ready"`
}

func (s *Server) routeYouTube(on router, m *http.ServeMux) {
	on("POST /google/token", "google", "token", s.googleToken)
	on("POST /youtube/upload/youtube/v3/videos", "youtube", "create", s.startUpload)
	on("POST /upload/youtube/v3/videos", "youtube", "create", s.startUpload) // where Google's own client looks for it, whatever its endpoint's path
	on("PUT /youtube/upload/youtube/v3/videos", "youtube", "send", s.sendUpload)
	on("GET /youtube/youtube/v3/channels", "youtube", "channels", reading(s.channels))
	on("GET /youtube/youtube/v3/videos", "youtube", "read", reading(s.listVideos))
	on("GET /youtube/youtube/v3/playlistItems", "youtube", "list", reading(s.listUploads))
	m.HandleFunc("GET /youtube/watch", s.watch)
}

func (s *Server) googleToken(w http.ResponseWriter, r *http.Request) {
	grant, refresh := r.FormValue("grant_type"), r.FormValue("refresh_token")
	switch {
	case grant == "authorization_code" && r.FormValue("code") == "", grant == "refresh_token" && (refresh == "" || refresh == "revoked"):
		writeJSON(w, 400, object{"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
	case r.FormValue("client_secret") == "wrong":
		writeJSON(w, 401, object{"error": "invalid_client", "error_description": "Unauthorized"})
	case grant != "authorization_code" && grant != "refresh_token":
		writeJSON(w, 400, object{"error": "unsupported_grant_type"})
	default:
		out := object{"access_token": "ya29." + hashed(refresh), "expires_in": 3599, "token_type": "Bearer",
			"scope": "https://www.googleapis.com/auth/youtube.upload https://www.googleapis.com/auth/youtube.readonly"}
		if grant == "authorization_code" {
			out["refresh_token"] = "1//0sandbox"
		}
		writeJSON(w, 200, out)
	}
}

func googleError(w http.ResponseWriter, status int, domain, reason, message string) {
	writeJSON(w, status, object{"error": object{"code": status, "message": message,
		"errors": []any{object{"message": message, "domain": domain, "reason": reason}}}})
}

// problem names the reason for which metadata is refused, or "".
func (v videoMeta) problem() string {
	tags := 0
	for i, t := range v.Snippet.Tags {
		tags += utf8.RuneCountInString(t) + min(i, 1)
		if strings.Contains(t, " ") {
			tags += 2
		}
	}
	title := utf8.RuneCountInString(v.Snippet.Title)
	switch {
	case title < 1 || title > 100 || strings.ContainsAny(v.Snippet.Title, "<>"):
		return "invalidTitle"
	case len(v.Snippet.Description) > 5000 || strings.ContainsAny(v.Snippet.Description, "<>"):
		return "invalidDescription"
	case tags > 500:
		return "invalidTags"
	case v.Snippet.CategoryID != "" && !slices.Contains([]string{"10", "19", "22", "24"}, v.Snippet.CategoryID):
		return "invalidCategoryId"
	case !slices.Contains([]string{"", "public", "unlisted", "private"}, v.Status.Privacy):
		return "invalidVideoMetadata"
	case !v.plannable():
		return "invalidPublishAt"
	}
	return ""
}

// plannable reports whether publishAt is missing, or a time to come of a video that is private until then.
func (v videoMeta) plannable() bool {
	if v.Status.PublishAt == "" {
		return true
	}
	at, err := time.Parse(time.RFC3339, v.Status.PublishAt)
	return err == nil && at.After(time.Now()) && v.Status.Privacy == "private"
}

// startUpload opens a session; Google's own client also sends its chunks here, by POST.
func (s *Server) startUpload(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("upload_id") != "" {
		s.sendUpload(w, r)
		return
	}
	if r.URL.Query().Get("uploadType") == "multipart" {
		s.uploadAtOnce(w, r)
		return
	}
	var row session
	switch err := readJSON(r, &row.Meta); {
	case !bearer(r):
		googleError(w, 401, "global", "authError", "Invalid Credentials")
		return
	case r.URL.Query().Get("uploadType") != "resumable" || err != nil:
		googleError(w, 400, "global", "badRequest", "The sandbox takes resumable and multipart uploads with JSON metadata only.")
		return
	}
	if !s.admit(w, r, &row) {
		return
	}
	id, err := s.newSession(row)
	if err != nil {
		googleError(w, 500, "global", "backendError", err.Error())
		return
	}
	w.Header().Set("X-Guploader-Uploadid", id)
	w.Header().Set("Location", s.cfg.PublicURL+"/youtube/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status&upload_id="+id)
	w.WriteHeader(200)
}

func (s *Server) newSession(row session) (id string, err error) {
	return s.sessions.add(func(n uint64) (string, session) { return "AEnB2U" + hexID("session", n), row })
}

// admit checks the metadata and the quota, and fills in what the session will come to.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, row *session) bool {
	switch {
	case row.Meta.problem() != "":
		googleError(w, 400, "youtube.video", row.Meta.problem(), "The request metadata is invalid.")
		return false
	case outcome(r, "quota"):
		googleError(w, 429, "global", "rateLimitExceeded", "Quota exceeded for quota metric 'Video Uploads' and limit 'Video Uploads per day' of service 'youtube.googleapis.com' for consumer 'project_number:0'.")
		return false
	case outcome(r, "locked"):
		row.Meta.Status.Privacy = "private"
	}
	row.Total, _ = strconv.ParseInt(r.Header.Get("X-Upload-Content-Length"), 10, 64)
	row.Ends = nowMillis() + cmp.Or(s.cfg.Durations.Session, 7*24*time.Hour).Milliseconds()
	row.End = "processed"
	for _, end := range []string{"rejected", "failed"} {
		if outcome(r, end) {
			row.End = end
		}
	}
	return true
}

// uploadAtOnce takes metadata and file in one request, as Google's own client sends what is smaller than a chunk.
func (s *Server) uploadAtOnce(w http.ResponseWriter, r *http.Request) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	parts := multipart.NewReader(r.Body, params["boundary"])
	var row session
	if err == nil {
		var meta *multipart.Part
		if meta, err = parts.NextPart(); err == nil {
			err = json.NewDecoder(io.LimitReader(meta, maxBody)).Decode(&row.Meta)
		}
	}
	var file *multipart.Part
	if err == nil {
		file, err = parts.NextPart()
	}
	switch {
	case !bearer(r):
		googleError(w, 401, "global", "authError", "Invalid Credentials")
		return
	case err != nil:
		googleError(w, 400, "global", "mediaBodyRequired", "The request does not include the video content.")
		return
	case !s.admit(w, r, &row):
		return
	}
	id, err := s.newSession(row)
	if err == nil {
		err = s.keepWhole(id, file)
	}
	if err != nil {
		googleError(w, 500, "global", "backendError", "The video could not be kept.")
		return
	}
	s.finishUpload(w, id, row)
}

func (s *Server) keepWhole(id string, file io.Reader) error {
	f, err := os.Create(filepath.Join(s.cfg.Dir, "videos", id+".part"))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.LimitReader(file, 64<<20))
	return errors.Join(err, f.Close())
}

var contentRange = regexp.MustCompile(`^bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)$`)

func (s *Server) sendUpload(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("upload_id")
	row, ok := s.sessions.find(id)
	if !ok || nowMillis() > row.Ends {
		googleError(w, 404, "global", "notFound", "The upload session has expired.")
		return
	}
	if row.Video != "" {
		v, _ := s.videos.find(row.Video)
		writeJSON(w, 200, s.videoObject(row.Video, v))
		return
	}
	stored, err := s.store(r, id, &row)
	switch {
	case err != nil:
		googleError(w, 400, "global", "badRequest", err.Error())
	case row.Total > 0 && stored == row.Total:
		s.finishUpload(w, id, row)
	default:
		more(w, r, stored)
	}
}

// store appends the bytes that are new and returns how many there are now.
func (s *Server) store(r *http.Request, id string, row *session) (int64, error) {
	f, err := os.OpenFile(filepath.Join(s.cfg.Dir, "videos", id+".part"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return 0, errors.New("storage is not available")
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	first := int64(0)
	if header := r.Header.Get("Content-Range"); header != "" {
		m := contentRange.FindStringSubmatch(header)
		if m == nil {
			return 0, errors.New("Content-Range is invalid")
		}
		if m[3] != "*" {
			row.Total, _ = strconv.ParseInt(m[3], 10, 64) // digits
		}
		if m[1] == "" {
			return have, nil
		}
		first, _ = strconv.ParseInt(m[1], 10, 64) // digits
	} else {
		row.Total = r.ContentLength
	}
	if first > have {
		return have, nil
	}
	if _, err := f.Seek(first, io.SeekStart); err != nil {
		return 0, err
	}
	most := max(row.Total-first, 0) + (64<<20)*b2i(row.Total == 0)
	if outcome(r, "partial") {
		most = min(most, r.ContentLength/2)
	}
	n, _ := io.Copy(f, io.LimitReader(r.Body, most)) // what came before a cut counts
	return max(have, first+n), nil
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// more says how much is stored, to Google's own client without the status 308.
func more(w http.ResponseWriter, r *http.Request, stored int64) {
	if stored > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", stored-1))
	}
	if r.Header.Get("X-Guploader-No-308") == "yes" {
		w.Header().Set("X-Http-Status-Code-Override", "308")
		w.WriteHeader(200)
		return
	}
	w.WriteHeader(308)
}

func (s *Server) finishUpload(w http.ResponseWriter, id string, row session) {
	now := nowMillis()
	v := video{Session: id, Meta: row.Meta, End: row.End, Created: now, Ready: now + s.pick(s.cfg.Durations.Process, 2*time.Second).Milliseconds()}
	made, err := s.videos.add(func(n uint64) (string, video) { return hexID("video", n)[:11], v })
	if err == nil {
		err = s.endSession(made, v)
	}
	if err == nil {
		err = s.bill.add(v.charge(made))
	}
	if err != nil {
		googleError(w, 500, "global", "backendError", "The video could not be kept.")
		return
	}
	writeJSON(w, 200, s.videoObject(made, v))
}

// endSession gives a video its file, and the session that it came by its id. What was done before isn't done again.
func (s *Server) endSession(id string, v video) error {
	row, ok := s.sessions.find(v.Session)
	if !ok || row.Video == id {
		return nil
	}
	err := os.Rename(filepath.Join(s.cfg.Dir, "videos", v.Session+".part"), filepath.Join(s.cfg.Dir, "videos", id+".mp4"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keep video %s: %w", id, err)
	}
	_, err = s.sessions.change(v.Session, func(x *session) { x.Video = id })
	return err
}

func (v video) charge(id string) charge {
	return charge{Provider: "youtube", Kind: "upload", ID: id, Mark: v.Session}
}

func (s *Server) videoObject(id string, v video) object {
	status := "uploaded"
	if nowMillis() >= v.Ready {
		status = v.End
	}
	b, _ := json.Marshal(v.Meta.Snippet) // plain values: can't fail
	snippet := object{}
	_ = json.Unmarshal(b, &snippet)
	snippet["channelId"], snippet["channelTitle"] = channelID, "Sandbox"
	snippet["publishedAt"] = time.UnixMilli(v.Created).UTC().Format(time.RFC3339)
	state := object{"uploadStatus": status, "privacyStatus": v.Meta.Status.Privacy, "selfDeclaredMadeForKids": v.Meta.Status.Kids}
	switch status {
	case "rejected":
		state["rejectionReason"] = "copyright"
	case "failed":
		state["failureReason"] = "conversion"
	}
	return object{"kind": "youtube#video", "etag": "e" + id, "id": id, "snippet": snippet, "status": state,
		"processingDetails": object{"processingStatus": map[string]string{"uploaded": "processing", "processed": "succeeded", "failed": "failed", "rejected": "terminated"}[status]}}
}

func list(w http.ResponseWriter, kind string, items []any, next string) {
	out := object{"kind": "youtube#" + kind, "etag": "e", "items": items, "pageInfo": object{"totalResults": len(items), "resultsPerPage": 50}}
	if next != "" {
		out["nextPageToken"] = next
	}
	writeJSON(w, 200, out)
}

// reading refuses reads without a token.
func reading(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !bearer(r) {
			googleError(w, 401, "global", "authError", "Invalid Credentials")
			return
		}
		next(w, r)
	}
}

func (s *Server) channels(w http.ResponseWriter, r *http.Request) {
	if outcome(r, "none") { // an account without a channel
		writeJSON(w, 200, object{"kind": "youtube#channelListResponse", "etag": "e", "pageInfo": object{"totalResults": 0, "resultsPerPage": 5}})
		return
	}
	list(w, "channelListResponse", []any{object{"kind": "youtube#channel", "id": channelID,
		"snippet":        object{"title": "Sandbox", "description": "", "publishedAt": "2020-01-01T00:00:00Z"},
		"contentDetails": object{"relatedPlaylists": object{"likes": "LL", "uploads": uploadsID}}}}, "")
}

func (s *Server) listVideos(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	for _, id := range strings.Split(r.URL.Query().Get("id"), ",") {
		if v, ok := s.videos.find(id); ok {
			items = append(items, s.videoObject(id, v))
		}
	}
	list(w, "videoListResponse", items, "")
}

func (s *Server) listUploads(w http.ResponseWriter, r *http.Request) {
	items, next := []any{}, ""
	skip, _ := strconv.Atoi(r.URL.Query().Get("pageToken")) // "" is the first page
	most, err := strconv.Atoi(r.URL.Query().Get("maxResults"))
	if err != nil || most < 1 || most > 50 {
		most = 5
	}
	all := s.videos.recent(keepRows)
	if end := skip + most; end < len(all) {
		all, next = all[:end], strconv.Itoa(end)
	}
	for _, id := range all[min(max(skip, 0), len(all)):] {
		v, _ := s.videos.find(id)
		o := s.videoObject(id, v)
		snippet := o["snippet"].(object)
		snippet["resourceId"] = object{"kind": "youtube#video", "videoId": id}
		items = append(items, object{"kind": "youtube#playlistItem", "id": "PL" + id, "snippet": snippet,
			"contentDetails": object{"videoId": id, "videoPublishedAt": snippet["publishedAt"]}})
	}
	list(w, "playlistItemListResponse", items, next)
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("v")
	v, ok := s.videos.find(id)
	if !ok {
		http.NotFound(w, r)
		return
	}
	showMovie(w, v.Meta.Snippet.Title, v.Meta.Snippet.Description, "/files/videos/"+id+".mp4")
}
