package fetch_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"castad/internal/fault"
	"castad/providers/fetch"
)

const png = "\x89PNG\x0d\x0a\x1a\x0a0123456789"

func server(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/photo", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, png) })
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	mux.HandleFunc("/json", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"error":"gone"}`) })
	mux.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/hop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/photo", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			fmt.Fprint(w, strings.Repeat("\x00", 1000))
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestImage_TellsEachFailure(t *testing.T) {
	t.Parallel()
	base := server(t)
	c := fetch.New(fetch.Config{Allow: []string{strings.TrimPrefix(base, "http://")}, MaxImageBytes: 5000})
	for path, want := range map[string]string{"/photo": "", "/hop": "", "/page": "not_an_image", "/endless": "too_large", "/loop": "url_unreachable",
		"/inside": "url_not_public", "/down": "url_unreachable", "/none": "url_refused"} {
		data, kind, err := c.Image(t.Context(), base+path+"?sig=secret")
		code := ""
		if err != nil {
			code = fault.Of(err).Code
		}
		if code != want || want == "" && (string(data) != png || kind != "image/png") {
			t.Errorf("%s: got %q %q, %v", path, kind, code, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error tells the query: %v", path, err)
		}
	}
}

func TestStream_FailsPastTheLimit(t *testing.T) {
	t.Parallel()
	base := server(t)
	c := fetch.New(fetch.Config{Allow: []string{strings.TrimPrefix(base, "http://")}})
	for limit, want := range map[int64]string{100_000: "", 99_999: "too_large"} {
		body, _, _, err := c.Stream(t.Context(), base+"/endless", limit)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		body.Close()
		if f := fault.Of(err); want == "" && (err != nil || n != 100_000) || want != "" && (f == nil || f.Code != want) {
			t.Errorf("limit %d: %d bytes, %v", limit, n, err)
		}
	}
}

// A page of a gateway isn't a film because its status is 200: it was published as one.
func TestStream_TakesNoText(t *testing.T) {
	t.Parallel()
	base := server(t)
	c := fetch.New(fetch.Config{Allow: []string{strings.TrimPrefix(base, "http://")}})
	for path, want := range map[string]string{"/photo": png, "/page": "", "/json": "", "/empty": ""} {
		body, _, _, err := c.Stream(t.Context(), base+path, 1000)
		if want == "" {
			if f := fault.Of(err); f == nil || f.Code != "not_a_file" || f.Kind != fault.Retryable {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestImage_RefusesLoopbackWithoutException(t *testing.T) {
	t.Parallel()
	if _, _, err := fetch.New(fetch.Config{}).Image(t.Context(), server(t)+"/photo"); fault.Of(err).Code != "url_not_public" {
		t.Errorf("got %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	c := fetch.New(fetch.Config{Allow: []string{"127.0.0.1:9000"}})
	for raw, want := range map[string]string{
		"https://example.com/a": "", "http://8.8.8.8/": "", "https://한국.kr/": "", "http://127.0.0.1:9000/x": "", "https://[2606:4700::1111]/": "",
		"http://127.0.0.1:9001/": "url_not_public", "http://127.0.0.1/": "url_not_public", "http://2130706433/": "url_not_public",
		"http://0x7f000001/": "url_not_public", "http://0177.0.0.1/": "url_not_public", "http://127.1/": "url_not_public", "http://10.1/": "url_not_public",
		"http://0x7f.1/": "url_not_public", "http://[::1]/": "url_not_public", "http://[::ffff:10.0.0.1]/": "url_not_public", "http://[fe80::1%25eth0]/": "url_not_public",
		"http://169.254.169.254/": "url_not_public", "http://localhost/": "url_not_public", "http://a.localhost./": "url_not_public", "http://db/": "url_not_public",
		"http://x.internal/": "url_not_public", "http://１２７.０.０.１/": "url_not_public", "https://example.com:22/": "url_not_public", "http://0/": "url_not_public",
		"ftp://example.com/": "url_malformed", "https://u:p@example.com/": "url_malformed", "http://1.2.3.4.5/": "url_malformed", "http://256.1.1.1/": "url_malformed",
		"": "url_malformed", "http://": "url_malformed", "https://example.com/" + strings.Repeat("a", 2100): "url_malformed", "file:///etc/passwd": "url_malformed",
	} {
		code := ""
		if err := c.CheckURL(raw); err != nil {
			code = fault.Of(err).Code
		}
		if code != want {
			t.Errorf("%.60s: got %q, want %q", raw, code, want)
		}
	}
}
