// Package sandboxed opens the sandbox of all providers for a test, on a server of its own, and makes its calls go wrong.
// Start with Open.
package sandboxed

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"castad/providers/sandbox"
)

// Server is a sandbox on loopback, which ends with its test.
type Server struct {
	URL string // without a slash at the end; the first part of a path names the provider
}

// Open starts a quick sandbox with its state in a folder of the test. around wraps its handler, to watch requests or to
// answer some of them; nil leaves it as it is.
func Open(t testing.TB, cfg sandbox.Config, around func(http.Handler) http.Handler) *Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	s := &Server{URL: "http://" + server.Listener.Addr().String()}
	cfg.Dir, cfg.PublicURL, cfg.Quick = t.TempDir(), s.URL, true
	box, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = box.Handler()
	if around != nil {
		server.Config.Handler = around(server.Config.Handler)
	}
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Fail makes calls go wrong, as sandbox.Fault says.
func (s *Server) Fail(t testing.TB, faults ...sandbox.Fault) {
	t.Helper()
	for _, fault := range faults {
		raw, err := json.Marshal(fault)
		if err != nil {
			t.Fatal(err)
		}
		s.admin(t, http.MethodPost, raw)
	}
}

// Mend ends all faults.
func (s *Server) Mend(t testing.TB) {
	t.Helper()
	s.admin(t, http.MethodDelete, nil)
}

func (s *Server) admin(t testing.TB, method string, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/admin/faults", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%s faults: %v, %v", method, resp, err)
	}
	resp.Body.Close()
}

// Get reads what anybody with a key can.
func (s *Server) Get(t testing.TB, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("get %s: %d, %v", url, resp.StatusCode, err)
	}
	return body
}

// Bill is what the providers have accepted.
func (s *Server) Bill(t testing.TB) sandbox.Bill {
	t.Helper()
	var bill sandbox.Bill
	if err := json.Unmarshal(s.Get(t, s.URL+"/bill"), &bill); err != nil {
		t.Fatal(err)
	}
	return bill
}
