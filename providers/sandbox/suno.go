package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"castad/providers/sandbox/band"
)

// song is one Suno job; its two clips are composed from two seeds.
type song struct {
	Number       uint64     `json:"number"`
	Prompt       string     `json:"prompt"`
	Style        string     `json:"style"`
	Title        string     `json:"title"`
	Model        string     `json:"model"`
	Instrumental bool       `json:"instrumental,omitempty"`
	Callback     string     `json:"callback"`
	Manner       string     `json:"manner,omitempty"` // of callbacks: never, late, double
	Fail         string     `json:"fail,omitempty"`   // a failure's status
	Seconds      [2]float64 `json:"seconds"`
	Created      int64      `json:"created"`
	Ready        int64      `json:"ready"`
	Made         bool       `json:"made,omitempty"`   // the audio is there
	Called       bool       `json:"called,omitempty"` // all callbacks were sent
	Unheard      bool       `json:"unheard,omitempty"`
}

const songCredits, songMicros = 12, 60_000

func (s *Server) routeSuno(on router) {
	on("POST /suno/api/v1/generate", "suno", "create", s.createSong)
	on("GET /suno/api/v1/generate/record-info", "suno", "read", s.readSong)
	on("POST /suno/api/v1/generate/get-timestamped-lyrics", "suno", "words", s.songWords)
	on("GET /suno/api/v1/generate/credit", "suno", "credit", func(w http.ResponseWriter, _ *http.Request) {
		envelope(w, 200, "success", s.credits())
	})
}

// envelope is every Suno answer; failures too come as HTTP 200.
func envelope(w http.ResponseWriter, code int, msg string, data any) {
	writeJSON(w, http.StatusOK, object{"code": code, "msg": msg, "data": data})
}

func (s *Server) credits() int64 {
	return s.cfg.Credits - int64(s.bill.provider("suno").Calls)*songCredits
}

type songRequest struct {
	CustomMode   *bool   `json:"customMode"`
	Instrumental *bool   `json:"instrumental"`
	Model        string  `json:"model"`
	Prompt       string  `json:"prompt"`
	Style        string  `json:"style"`
	Title        string  `json:"title"`
	CallBackURL  *string `json:"callBackUrl"`
}

func (in songRequest) problem() (int, string) {
	models := map[string][3]int{"V4": {3000, 200, 80}, "V4_5": {5000, 1000, 100}, "V4_5PLUS": {5000, 1000, 100},
		"V4_5ALL": {5000, 1000, 80}, "V5": {5000, 1000, 100}, "V5_5": {5000, 1000, 100}}
	most, known := models[in.Model]
	custom := in.CustomMode != nil && *in.CustomMode
	switch {
	case in.CustomMode == nil:
		return 400, "customMode cannot be null"
	case in.Instrumental == nil:
		return 400, "instrumental cannot be null"
	case !known:
		return 400, "model error"
	case in.CallBackURL == nil || *in.CallBackURL == "":
		return 400, "Please enter callBackUrl."
	case custom && (in.Style == "" || in.Title == ""):
		return 400, "style and title are required in custom mode"
	case in.Prompt == "" && (!custom || !*in.Instrumental):
		return 400, "prompt is required"
	case utf8.RuneCountInString(in.Prompt) > most[0] || !custom && utf8.RuneCountInString(in.Prompt) > 500:
		return 413, "prompt too long"
	case utf8.RuneCountInString(in.Style) > most[1]:
		return 413, "style too long"
	case utf8.RuneCountInString(in.Title) > most[2]:
		return 413, "title too long"
	}
	return 200, ""
}

func (s *Server) createSong(w http.ResponseWriter, r *http.Request) {
	var in songRequest
	if !bearer(r) {
		envelope(w, 401, "You do not have access permissions", nil)
		return
	}
	if err := readJSON(r, &in); err != nil {
		envelope(w, 400, "the body is no JSON", nil)
		return
	}
	if code, msg := in.problem(); code != 200 {
		envelope(w, code, msg, nil)
		return
	}
	if outcome(r, "credits") || s.credits() < songCredits {
		envelope(w, 429, "The current credits are insufficient. Please top up.", nil)
		return
	}
	row, err := s.newSong(r, in)
	if err != nil {
		envelope(w, 400, err.Error(), nil)
		return
	}
	id, err := s.songs.add(func(n uint64) (string, song) {
		row.Number = n
		return hexID("suno", n)[:31] + "0", row
	})
	if err == nil {
		err = s.bill.add(row.charge(id))
	}
	if err != nil {
		envelope(w, 500, err.Error(), nil)
		return
	}
	s.workOnSong(id)
	envelope(w, 200, "success", object{"taskId": id})
}

func (row song) charge(id string) charge {
	return charge{Provider: "suno", Kind: "song", ID: id, Micros: songMicros, Mark: row.Callback}
}

func (s *Server) newSong(r *http.Request, in songRequest) (song, error) {
	now := time.Now()
	row := song{Prompt: in.Prompt, Style: in.Style, Title: in.Title, Model: in.Model, Instrumental: *in.Instrumental,
		Callback: *in.CallBackURL, Created: millis(now), Made: s.cfg.Quick,
		Ready: millis(now.Add(s.pick(s.cfg.Durations.Song, 6*time.Second)))}
	for fault, status := range map[string]string{"sensitive": "SENSITIVE_WORD_ERROR", "failed": "GENERATE_AUDIO_FAILED"} {
		if outcome(r, fault) {
			row.Fail = status
		}
	}
	for _, manner := range []string{"never", "late", "double"} {
		if outcome(r, "callback_"+manner) {
			row.Manner = manner
		}
	}
	for i := range row.Seconds {
		tune, err := s.compose(row, i)
		if err != nil {
			return song{}, err
		}
		row.Seconds[i] = tune.Seconds
	}
	return row, nil
}

func (s *Server) compose(row song, clip int) (*band.Song, error) {
	lyrics := row.Prompt
	if row.Instrumental {
		lyrics = ""
	}
	return band.Compose(band.Order{Lyrics: lyrics, Style: row.Style, Title: row.Title, Seed: uint64(clip), Quick: s.cfg.Quick})
}

// clipID names a clip by a UUID: the job's id with the clip's number in its last digit, which is 0 in the job's.
func clipID(job string, clip int) string {
	return job[:8] + "-" + job[8:12] + "-" + job[12:16] + "-" + job[16:20] + "-" + job[20:31] + string(rune('0'+clip))
}

func clipOf(id string) (job string, clip int, ok bool) {
	h := strings.ReplaceAll(id, "-", "")
	if len(h) != 32 || h[31] != '0' && h[31] != '1' {
		return "", 0, false
	}
	return h[:31] + "0", int(h[31] - '0'), true
}

// workOnSong queues the making of the first clip and the callbacks, as far as they are still to be done.
func (s *Server) workOnSong(id string) {
	row, ok := s.songs.find(id)
	if !ok {
		return
	}
	if !row.Made && row.Fail == "" {
		s.slow.at(time.Now(), func(ctx context.Context) { s.makeSong(ctx, id) })
	}
	if !row.Called && row.Manner != "never" {
		s.planCalls(id, row)
	}
}

func (s *Server) makeSong(ctx context.Context, id string) {
	row, _ := s.songs.find(id)
	if _, err := s.songFile(ctx, id, row, 0); err != nil && ctx.Err() != nil {
		return // made after the next start
	} else if err != nil {
		s.cfg.Log.Error().Err(err).Str("job_id", id).Msg("song could not be made")
		row.Fail = "GENERATE_AUDIO_FAILED"
	}
	_, _ = s.songs.change(id, func(x *song) { x.Made, x.Fail = true, row.Fail })
}

// songFile returns the path of a clip's audio, which it makes when it isn't there.
func (s *Server) songFile(ctx context.Context, id string, row song, clip int) (string, error) {
	path := filepath.Join(s.cfg.Dir, "songs", clipID(id, clip)+".mp3")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	tune, err := s.compose(row, clip)
	if err != nil {
		return "", err
	}
	var audio bytes.Buffer
	if err := tune.WriteMP3(ctx, s.cfg.FFmpeg, s.cfg.Soundfont, &audio); err != nil {
		return "", err
	}
	return path, writeWhole(path, &audio)
}

// writeWhole writes a file that is seen whole or not at all.
func writeWhole(path string, from io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, from)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (s *Server) serveSong(w http.ResponseWriter, r *http.Request) {
	job, clip, ok := clipOf(strings.TrimSuffix(r.PathValue("name"), ".mp3"))
	row, found := s.songs.find(job)
	if !ok || !found || !row.audible() {
		http.NotFound(w, r)
		return
	}
	if s.cfg.Quick {
		s.serveQuickSong(w, r, row, clip)
		return
	}
	path, err := s.songFile(r.Context(), job, row, clip)
	if err != nil {
		http.Error(w, "song is not available", http.StatusInternalServerError)
		return
	}
	s.serveFile(w, r, "songs", path)
}

func (s *Server) serveQuickSong(w http.ResponseWriter, r *http.Request, row song, clip int) {
	tune, err := s.compose(row, clip)
	var audio bytes.Buffer
	if err == nil {
		err = tune.WriteMP3(r.Context(), "", "", &audio)
	}
	if err != nil {
		http.Error(w, "song is not available", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "audio/mpeg")
	http.ServeContent(w, r, "", time.UnixMilli(row.Created), bytes.NewReader(audio.Bytes()))
}

// status follows from the clock, but success waits until the audio is there.
func (x song) status() string {
	now, whole := nowMillis(), x.Ready-x.Created
	switch {
	case x.Fail != "" && now >= x.Ready:
		return x.Fail
	case now >= x.Ready && x.Made && x.Unheard:
		return "CALLBACK_EXCEPTION"
	case now >= x.Ready && x.Made:
		return "SUCCESS"
	case now >= x.Created+whole*7/10 && x.Made && x.Fail == "":
		return "FIRST_SUCCESS"
	case now >= x.Created+whole/4 && x.Fail == "":
		return "TEXT_SUCCESS"
	}
	return "PENDING"
}

// audible reports whether a clip can be fetched; a callback that nobody took doesn't make the song any less finished.
func (x song) audible() bool {
	switch x.status() {
	case "FIRST_SUCCESS", "SUCCESS", "CALLBACK_EXCEPTION":
		return true
	}
	return false
}

func (s *Server) readSong(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("taskId")
	row, ok := s.songs.find(id)
	if !ok {
		envelope(w, 404, "task not found", nil)
		return
	}
	param, _ := json.Marshal(object{"prompt": row.Prompt, "style": row.Style, "title": row.Title, "model": row.Model,
		"customMode": true, "instrumental": row.Instrumental, "callBackUrl": row.Callback}) // plain values: can't fail
	data := object{"taskId": id, "parentMusicId": "", "param": string(param), "status": row.status(), "type": "chirp-auk",
		"operationType": "generate", "errorCode": nil, "errorMessage": nil, "createTime": row.Created, "response": nil}
	switch status := row.status(); status {
	case "PENDING":
	case "SENSITIVE_WORD_ERROR":
		data["errorCode"], data["errorMessage"] = 400, "The lyrics contain sensitive words."
	case "GENERATE_AUDIO_FAILED":
		data["errorCode"], data["errorMessage"] = 500, "Internal Error, Please try again later."
	default:
		data["response"] = object{"taskId": id, "sunoData": []any{s.clip(id, row, 0, status != "TEXT_SUCCESS"),
			s.clip(id, row, 1, status == "SUCCESS" || status == "CALLBACK_EXCEPTION")}}
	}
	envelope(w, 200, "success", data)
}

// clip is half filled until it is complete.
func (s *Server) clip(id string, row song, n int, complete bool) object {
	name := clipID(id, n)
	url := s.cfg.PublicURL + "/files/songs/" + name + ".mp3"
	out := object{"id": name, "audioUrl": "", "sourceAudioUrl": nil, "streamAudioUrl": url, "sourceStreamAudioUrl": url,
		"imageUrl": "", "sourceImageUrl": "", "prompt": row.Prompt, "modelName": "chirp-auk", "title": row.Title,
		"tags": row.Style, "createTime": row.Created, "duration": nil}
	if complete {
		out["audioUrl"], out["sourceAudioUrl"], out["duration"] = url, url, row.Seconds[n]
	}
	return out
}

func (s *Server) songWords(w http.ResponseWriter, r *http.Request) {
	var in struct {
		TaskID  string `json:"taskId"`
		AudioID string `json:"audioId"`
	}
	if err := readJSON(r, &in); err != nil {
		envelope(w, 400, "the body is no JSON", nil)
		return
	}
	job, clip, ok := clipOf(in.AudioID)
	row, found := s.songs.find(in.TaskID)
	if !ok || !found || job != in.TaskID {
		envelope(w, 404, "task not found", nil)
		return
	}
	words := []any{}
	if tune, err := s.compose(row, clip); err == nil && nowMillis() >= row.Ready {
		for _, word := range tune.Words {
			words = append(words, object{"word": word.Text, "success": true, "startS": word.Start, "endS": word.End, "palign": 0})
		}
	}
	envelope(w, 200, "success", object{"alignedWords": words, "waveformData": []float64{0, 0.1, 0.2}, "hootCer": 0.05, "isStreamed": false})
}

// planCalls queues the callbacks text, first and complete, or error.
func (s *Server) planCalls(id string, row song) {
	whole := row.Ready - row.Created
	lag := s.cfg.Durations.Hook
	if row.Manner == "late" {
		lag += max(30*time.Second, time.Duration(whole)*time.Millisecond)
	}
	at := func(ms int64) time.Time { return time.UnixMilli(ms).Add(lag) }
	if row.Fail == "" && nowMillis() < row.Ready+1000 {
		s.fast.at(at(row.Created+whole/4), func(ctx context.Context) { s.callSong(ctx, id, "text") })
		s.fast.at(at(row.Created+whole*7/10).Add(time.Millisecond), func(ctx context.Context) { s.callSong(ctx, id, "first") })
	}
	s.fast.at(at(row.Ready).Add(2*time.Millisecond), func(ctx context.Context) { s.endSong(ctx, id) })
}

// endSong sends the last callback once the audio is there.
func (s *Server) endSong(ctx context.Context, id string) {
	row, _ := s.songs.find(id)
	if !row.Made && row.Fail == "" {
		s.fast.at(time.Now().Add(200*time.Millisecond), func(ctx context.Context) { s.endSong(ctx, id) })
		return
	}
	kind := "complete"
	if row.Fail != "" {
		kind = "error"
	}
	heard := s.callSong(ctx, id, kind)
	if row.Manner == "double" {
		s.callSong(ctx, id, kind)
	}
	if ctx.Err() == nil {
		_, _ = s.songs.change(id, func(x *song) { x.Called, x.Unheard = true, !heard && x.Fail == "" })
	}
}

func (s *Server) callSong(ctx context.Context, id, kind string) bool {
	row, _ := s.songs.find(id)
	code, msg, clips := 200, "All generated successfully.", []any{}
	if kind == "error" {
		code, msg = 501, "Audio generation failed"
		if row.Fail == "SENSITIVE_WORD_ERROR" {
			code = 400
		}
	} else {
		clips = append(clips, s.snakeClip(id, row, 0, kind != "text"), s.snakeClip(id, row, 1, kind == "complete"))
	}
	return s.hook(ctx, row.Callback, object{"code": code, "msg": msg,
		"data": object{"callbackType": kind, "task_id": id, "data": clips}})
}

func (s *Server) snakeClip(id string, row song, n int, complete bool) object {
	c := s.clip(id, row, n, complete)
	return object{"id": c["id"], "audio_url": c["audioUrl"], "source_audio_url": c["sourceAudioUrl"], "stream_audio_url": c["streamAudioUrl"],
		"source_stream_audio_url": c["sourceStreamAudioUrl"], "image_url": "", "source_image_url": "", "prompt": row.Prompt,
		"model_name": "chirp-auk", "title": row.Title, "tags": row.Style, "duration": c["duration"],
		"createTime": time.UnixMilli(row.Created).UTC().Format(time.DateTime)}
}

// hook posts a callback and reports whether it was answered with 2xx.
func (s *Server) hook(ctx context.Context, url string, body any) bool {
	b, err := json.Marshal(body)
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode/100 == 2
}
