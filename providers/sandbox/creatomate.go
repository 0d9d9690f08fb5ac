package sandbox

import (
	"bytes"
	"cmp"
	"context"
	_ "embed" // the tiny movie
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

//go:embed tiny/movie.mp4
var tinyMovie []byte

//go:embed tiny/cover.jpg
var tinyCover []byte

// render is one Creatomate job. Its script lies in a file, and only where it will be needed.
type render struct {
	Width    int     `json:"width"`
	Height   int     `json:"height"`
	Rate     float64 `json:"rate"`
	Seconds  float64 `json:"seconds"`
	Metadata string  `json:"metadata,omitempty"`
	Webhook  string  `json:"webhook,omitempty"`
	Manner   string  `json:"manner,omitempty"` // of the webhook: never, late, double
	Fail     string  `json:"fail,omitempty"`   // error_message
	Created  int64   `json:"created"`
	Ready    int64   `json:"ready"`
	Made     bool    `json:"made,omitempty"`
	Called   bool    `json:"called,omitempty"`
	Bytes    int64   `json:"bytes,omitempty"`
}

// Scene is a RenderScript in plain words; photos and song are files on this machine.
type Scene struct {
	Width, Height int
	Rate, Seconds float64 // frames a second; length
	Name, Region  string
	Photos        []string // in order of appearance, none twice
	Song          string
	Lines         []SceneLine
}

// SceneLine is a line of lyrics and when it is seen, in seconds.
type SceneLine struct {
	Text       string
	Start, End float64
}

type renderScript struct {
	Width    int             `json:"width"`
	Height   int             `json:"height"`
	Rate     float64         `json:"frame_rate"`
	Duration float64         `json:"duration"`
	Elements []scriptElement `json:"elements"`
}

type scriptElement struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Time     any    `json:"time"`
	Duration any    `json:"duration"`
	Source   string `json:"source"`
	Text     string `json:"text"`
}

func (s *Server) routeCreatomate(on router) {
	for _, v := range []string{"v1", "v2"} {
		on("POST /creatomate/"+v+"/renders", "creatomate", "create", s.createRender)
		on("GET /creatomate/"+v+"/renders", "creatomate", "list", s.listRenders)
		on("GET /creatomate/"+v+"/renders/{id}", "creatomate", "read", s.readRender)
		on("GET /creatomate/"+v+"/templates", "creatomate", "templates", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, []any{})
		})
	}
}

func hint(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, object{"hint": text, "documentation": "https://creatomate.com/docs/api/introduction"})
}

type renderRequest struct {
	renderScript
	Source     *renderScript   `json:"source"` // v1
	TemplateID string          `json:"template_id"`
	Metadata   json.RawMessage `json:"metadata"`
	Webhook    string          `json:"webhook_url"`
	DryRun     bool            `json:"dry_run"`
}

func (s *Server) createRender(w http.ResponseWriter, r *http.Request) {
	v1 := strings.HasPrefix(r.URL.Path, "/creatomate/v1/")
	var in renderRequest
	var metadata string
	switch err := readJSON(r, &in); {
	case !bearer(r):
		hint(w, 401, "Provide a valid API key.")
		return
	case err != nil:
		hint(w, 400, "The body is no valid request: "+err.Error())
		return
	case in.TemplateID != "":
		hint(w, 404, "There is no template with this id.")
		return
	case len(in.Metadata) > 0 && json.Unmarshal(in.Metadata, &metadata) != nil:
		hint(w, 400, "The metadata must be a string.")
		return
	}
	if v1 && in.Source != nil {
		in.renderScript = *in.Source
	}
	problem := in.problem()
	if in.DryRun && !v1 {
		writeJSON(w, http.StatusOK, object{"valid": problem == "", "errors": listOf(problem), "warnings": []any{}, "source": object{}})
		return
	}
	if problem != "" {
		hint(w, 400, problem)
		return
	}
	if outcome(r, "credits") {
		hint(w, 402, "You have used up all credits of your plan.")
		return
	}
	id, row, err := s.keepRender(r, in.renderScript, metadata, in.Webhook)
	if err != nil {
		hint(w, 500, err.Error())
		return
	}
	if v1 {
		writeJSON(w, http.StatusAccepted, []any{s.renderObject(id, row)})
		return
	}
	writeJSON(w, http.StatusAccepted, s.renderObject(id, row))
}

func listOf(problem string) []string {
	if problem == "" {
		return []string{}
	}
	return []string{problem}
}

func (x renderScript) problem() string {
	if len(x.Elements) == 0 {
		return "The RenderScript has no elements."
	}
	if x.Width < 0 || x.Height < 0 || x.Width > 4096 || x.Height > 4096 || x.Duration < 0 || x.Duration > 3600 {
		return "The size or the duration is out of range."
	}
	for _, e := range x.Elements {
		media := e.Type == "image" || e.Type == "audio" || e.Type == "video"
		u, err := url.Parse(e.Source)
		if media && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Sprintf("The source of %q is no URL.", e.Name)
		}
		if !media && e.Type != "text" && e.Type != "shape" && e.Type != "composition" {
			return fmt.Sprintf("The type %q of %q is unknown.", e.Type, e.Name)
		}
	}
	return ""
}

func (s *Server) keepRender(r *http.Request, script renderScript, metadata, webhook string) (string, render, error) {
	now := time.Now()
	row := render{Width: cmp.Or(script.Width, 1080), Height: cmp.Or(script.Height, 1920), Rate: cmp.Or(script.Rate, 30),
		Seconds: cmp.Or(script.Duration, 5), Metadata: metadata, Webhook: webhook, Created: millis(now),
		Ready: millis(now.Add(s.pick(s.cfg.Durations.Render, 2*time.Second)))}
	if s.cfg.Quick || s.cfg.Renderer == nil {
		row.Made, row.Bytes = true, int64(len(tinyMovie))
	}
	if outcome(r, "failed") {
		row.Made, row.Fail = true, "The render failed (simulated)."
	}
	for _, manner := range []string{"never", "late", "double"} {
		if outcome(r, "callback_"+manner) {
			row.Manner = manner
		}
	}
	n := s.renders.number()
	id := uuidID("creatomate", n)
	if !row.Made {
		if err := s.keepScript(id, script); err != nil {
			return "", row, err
		}
	}
	if err := errors.Join(s.renders.keep(id, n, row), s.bill.add(row.charge(id))); err != nil {
		return "", row, err
	}
	s.workOnRender(id)
	return id, row, nil
}

func (row render) charge(id string) charge {
	credits := math.Ceil(row.Seconds / 60 * float64(row.Width*row.Height) / (1280 * 720))
	return charge{Provider: "creatomate", Kind: "render", ID: id, Micros: int64(credits) * 20_000, Mark: renderMark(row.Metadata, row.Webhook)}
}

func renderMark(metadata, webhook string) string {
	var loose map[string]any
	if json.Unmarshal([]byte(metadata), &loose) != nil {
		return cmp.Or(metadata, webhook)
	}
	pairs := map[string]string{}
	for k, v := range loose {
		pairs[k] = fmt.Sprint(v)
	}
	return markOf(pairs)
}

func (s *Server) keepScript(id string, script renderScript) error {
	b, err := json.Marshal(script)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.cfg.Dir, "renders", id+".json"), b, 0o644)
}

func (s *Server) workOnRender(id string) {
	row, ok := s.renders.find(id)
	if !ok {
		return
	}
	if !row.Made {
		s.slow.at(time.Now(), func(ctx context.Context) { s.makeRender(ctx, id) })
	}
	if row.Webhook != "" && !row.Called && row.Manner != "never" {
		lag := s.cfg.Durations.Hook
		if row.Manner == "late" {
			lag += 30 * time.Second
		}
		s.fast.at(time.UnixMilli(row.Ready).Add(lag), func(ctx context.Context) { s.callRender(ctx, id) })
	}
}

func (s *Server) callRender(ctx context.Context, id string) {
	row, _ := s.renders.find(id)
	if !row.Made {
		s.fast.at(time.Now().Add(200*time.Millisecond), func(ctx context.Context) { s.callRender(ctx, id) })
		return
	}
	s.hook(ctx, row.Webhook, s.renderObject(id, row))
	if row.Manner == "double" {
		s.hook(ctx, row.Webhook, s.renderObject(id, row))
	}
	if ctx.Err() == nil {
		_, _ = s.renders.change(id, func(x *render) { x.Called = true })
	}
}

func (s *Server) makeRender(ctx context.Context, id string) {
	size, err := s.film(ctx, id)
	if ctx.Err() != nil {
		return // goes on after the next start
	}
	_, _ = s.renders.change(id, func(x *render) {
		x.Made, x.Bytes = true, size
		if err != nil {
			x.Fail = err.Error()
		}
	})
}

// film fetches the sources, renders, and puts movie and cover in their places.
func (s *Server) film(ctx context.Context, id string) (int64, error) {
	base := filepath.Join(s.cfg.Dir, "renders", id)
	b, err := os.ReadFile(base + ".json")
	if err != nil {
		return 0, err
	}
	var script renderScript
	if err := json.Unmarshal(b, &script); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(filepath.Join(s.cfg.Dir, "renders"), "work-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	scene, err := s.stage(ctx, script, dir)
	if err != nil {
		return 0, err
	}
	movie, cover, err := s.cfg.Renderer.Render(ctx, scene, dir)
	if err != nil {
		return 0, fmt.Errorf("render: %w", err)
	}
	if err := os.Rename(cover, base+".jpg"); err != nil {
		return 0, err
	}
	if err := os.Rename(movie, base+".mp4"); err != nil {
		return 0, err
	}
	info, err := os.Stat(base + ".mp4")
	if err != nil {
		return 0, err
	}
	return info.Size(), os.Remove(base + ".json")
}

// stage makes a scene of a script and brings its files here.
func (s *Server) stage(ctx context.Context, script renderScript, dir string) (Scene, error) {
	scene := Scene{Width: cmp.Or(script.Width, 1080), Height: cmp.Or(script.Height, 1920), Rate: cmp.Or(script.Rate, 30), Seconds: script.Duration}
	seen := map[string]bool{}
	for _, e := range script.Elements {
		switch {
		case (e.Type == "image" || e.Type == "audio") && !seen[e.Source]:
			seen[e.Source] = true
			path := filepath.Join(dir, fmt.Sprintf("source-%d", len(seen)))
			if err := s.fetch(ctx, e.Source, path, map[string]string{"image": "image/", "audio": "audio/"}[e.Type]); err != nil {
				return scene, fmt.Errorf("the source of %q can't be used: %w", e.Name, err)
			}
			if e.Type == "audio" {
				scene.Song = path
			} else {
				scene.Photos = append(scene.Photos, path)
			}
		case e.Type == "text" && strings.EqualFold(e.Name, "name"):
			scene.Name = e.Text
		case e.Type == "text" && strings.EqualFold(e.Name, "region"):
			scene.Region = e.Text
		case e.Type == "text":
			start, _ := e.Time.(float64)
			length, _ := e.Duration.(float64)
			scene.Lines = append(scene.Lines, SceneLine{Text: e.Text, Start: start, End: start + length})
		}
	}
	return scene, nil
}

const maxFetch = 512 << 20

// fetch loads a file of a kind, told by its Content-Type ("" for any).
func (s *Server) fetch(ctx context.Context, from, path, kind string) error {
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: s.client.Transport}).Do(req)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch: HTTP status %d", resp.StatusCode)
	}
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
		return fmt.Errorf("fetch: content type %q, want %s", got, kind)
	}
	return writeWhole(path, io.LimitReader(resp.Body, maxFetch))
}

func (x render) status() string {
	now := nowMillis()
	switch {
	case now >= x.Ready && x.Made && x.Fail != "":
		return "failed"
	case now >= x.Ready && x.Made:
		return "succeeded"
	case now < x.Created+(x.Ready-x.Created)/4:
		return "planned"
	}
	return "rendering"
}

func (s *Server) renderObject(id string, row render) object {
	url := s.cfg.PublicURL + "/files/renders/" + id
	out := object{"id": id, "status": row.status(), "url": url + ".mp4", "snapshot_url": nil, "output_format": "mp4", "render_scale": 1,
		"width": row.Width, "height": row.Height, "frame_rate": row.Rate, "duration": row.Seconds,
		"webhook_url": row.Webhook, "metadata": row.Metadata, "warnings": []any{}}
	switch row.status() {
	case "failed":
		out["error_message"] = row.Fail
	case "succeeded":
		out["snapshot_url"], out["file_size"] = url+".jpg", row.Bytes
	}
	return out
}

func (s *Server) readRender(w http.ResponseWriter, r *http.Request) {
	row, ok := s.renders.find(r.PathValue("id"))
	if !ok {
		hint(w, 404, "There is no render with this id.")
		return
	}
	writeJSON(w, http.StatusOK, s.renderObject(r.PathValue("id"), row))
}

func (s *Server) listRenders(w http.ResponseWriter, _ *http.Request) {
	list := []any{}
	for _, id := range s.renders.recent(200) {
		row, _ := s.renders.find(id)
		list = append(list, s.renderObject(id, row))
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) serveRender(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	row, ok := s.renders.find(strings.TrimSuffix(name, filepath.Ext(name)))
	if !ok || row.status() != "succeeded" {
		http.NotFound(w, r)
		return
	}
	if _, err := os.Stat(filepath.Join(s.cfg.Dir, "renders", filepath.Base(name))); err == nil {
		s.serveFile(w, r, "renders", name)
		return
	}
	w.Header().Set("Content-Type", mediaType(name))
	http.ServeContent(w, r, "", time.UnixMilli(row.Created), bytes.NewReader(tiny(name)))
}

func tiny(name string) []byte {
	if filepath.Ext(name) == ".jpg" {
		return tinyCover
	}
	return tinyMovie
}
