package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// Handler serves everything. It may be mounted only at the root.
func (s *Server) Handler() http.Handler {
	m := http.NewServeMux()
	on := func(pattern, provider, call string, h http.HandlerFunc) {
		m.HandleFunc(pattern, s.faulty(provider, call, h))
	}
	s.routeAdmin(m)
	s.routeNaver(on)
	s.routeOpenAI(on)
	s.routeSuno(on)
	s.routeCreatomate(on)
	s.routeYouTube(on, m)
	s.routeInstagram(on, m)
	azure := s.faulty("azure", "read", s.azure)
	azureWrite := s.faulty("azure", "create", s.azure)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/"+azureAccount):
			m.ServeHTTP(w, r) // not for blobs: it would clean their paths
		case r.Method == http.MethodPut:
			azureWrite(w, r)
		default:
			azure(w, r)
		}
	})
}

type router func(pattern, provider, call string, h http.HandlerFunc)

func (s *Server) routeAdmin(m *http.ServeMux) {
	m.HandleFunc("GET /{$}", s.showPage)
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	m.HandleFunc("GET /bill", s.showBill)
	m.HandleFunc("GET /bill/charges", s.showCharges)
	m.HandleFunc("GET /admin/faults", s.listFaults)
	m.HandleFunc("POST /admin/faults", s.addFault)
	m.HandleFunc("DELETE /admin/faults", s.clearFaults)
	m.HandleFunc("GET /files/songs/{name}", s.faulty("suno", "download", s.serveSong))
	m.HandleFunc("GET /files/renders/{name}", s.faulty("creatomate", "download", s.serveRender))
	m.HandleFunc("GET /files/videos/{name}", s.serveKept("videos"))
	m.HandleFunc("GET /files/reels/{name}", s.serveKept("reels"))
	m.HandleFunc("GET /files/photos/{name...}", s.faulty("naver", "photo", s.servePhoto))
}

// serveKept serves the files of one folder, with ranges.
func (s *Server) serveKept(folder string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.serveFile(w, r, folder, r.PathValue("name"))
	}
}

func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, folder, name string) {
	f, err := os.Open(filepath.Join(s.cfg.Dir, folder, filepath.Base(name)))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mediaType(name))
	http.ServeContent(w, r, name, info.ModTime(), f)
}

func mediaType(name string) string {
	switch filepath.Ext(name) {
	case ".mp3":
		return "audio/mpeg"
	case ".mp4":
		return "video/mp4"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	}
	return "application/octet-stream"
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the caller may have hung up
}

func readJSON(r *http.Request, v any) error {
	return json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(v)
}

// bearer reports whether a call has any key at all; the sandbox accepts every one but "wrong".
func bearer(r *http.Request) bool {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && key != "" && key != "wrong"
}

type object = map[string]any
