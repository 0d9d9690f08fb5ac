package wire_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/testkit"
	"castad/providers/wire"
)

// patience is the limit of calls that aren't about time.
const patience = time.Minute

const query = "/order?id=17&key=hidden"

// service is a server that counts what reached it.
type service struct {
	url            string
	conns, reached atomic.Int64
}

// serve answers with h; plain or with TLS by an authority that nobody trusts.
func serve(t *testing.T, tls bool, h http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.reached.Add(1)
		h(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// accept gives each connection to talk, which need not speak HTTP, and closes it afterwards.
func accept(t *testing.T, talk func(s *service, conn net.Conn)) *service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{url: "http://" + l.Addr().String()}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go func() {
				defer conn.Close()
				talk(s, conn)
			}()
		}
	}()
	return s
}

func says(text string) func(*service, net.Conn) {
	return func(s *service, conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		s.reached.Add(1)
		_, _ = io.WriteString(conn, text)
	}
}

// hangUp closes the connection after the request was read whole.
func hangUp(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, _ := w.(http.Hijacker).Hijack()
	conn.Close()
}

// hang doesn't answer as long as the caller waits.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// requests are those that net/http treats differently: it repeats what has no body, or a body that can be had again,
// or a harmless method.
var requests = map[string]struct{ method, body string }{
	"get": {http.MethodGet, ""}, "order": {http.MethodPost, `{"prompt":"x"}`}, "order without a body": {http.MethodPost, ""},
	"put": {http.MethodPut, "x"},
}

func request(t *testing.T, ctx context.Context, method, url, body string) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := wire.NewRequest(ctx, method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// outcome is what a caller and the server know of a failed call.
type outcome struct {
	NotSent bool
	Reached int64
}

// failed makes the call, which has to fail without telling the query.
func failed(t *testing.T, c *wire.Caller, s *service, req *http.Request) outcome {
	t.Helper()
	ctx, sent := wire.Watch(req.Context())
	answer, err := c.Call(req.WithContext(ctx))
	if err == nil {
		t.Fatalf("answered: %+v", answer)
	}
	if strings.Contains(err.Error(), "hidden") || len(err.Error()) > 400 {
		t.Errorf("error tells too much: %v", err)
	}
	if sent() == errors.Is(err, wire.ErrNotSent) {
		t.Errorf("watched: sent %v, but the error is: %v", sent(), err)
	}
	return outcome{errors.Is(err, wire.ErrNotSent), s.reached.Load()}
}

func TestCall_SaysThatNothingWasSent(t *testing.T) {
	t.Parallel()
	ok := func(http.ResponseWriter, *http.Request) {}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	withTLS := func(s *service) *service {
		s.url = strings.Replace(s.url, "http:", "https:", 1)
		return s
	}
	for name, row := range map[string]struct {
		s   *service
		ctx context.Context
	}{
		"refused connection":        {&service{url: "http://" + testkit.Refused(t)}, t.Context()},
		"name that can't be":        {&service{url: "http://no..name"}, t.Context()},
		"unknown scheme":            {&service{url: "gopher://127.0.0.1"}, t.Context()},
		"untrusted certificate":     {serve(t, true, ok), t.Context()},
		"no TLS there":              {withTLS(serve(t, false, ok)), t.Context()},
		"hung up in the handshake":  {withTLS(accept(t, func(_ *service, conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) })), t.Context()},
		"given up before the start": {serve(t, false, ok), done},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, r := range requests {
				got := failed(t, wire.New(wire.Limits{Time: patience}), row.s, request(t, row.ctx, r.method, row.s.url+query, r.body))
				if diff := cmp.Diff(outcome{NotSent: true}, got); diff != "" {
					t.Errorf("%s: (-want +got):\n%s", kind, diff)
				}
			}
		})
	}
}

func TestCall_HangingHandshakeWasNotSent(t *testing.T) {
	t.Parallel()
	s := accept(t, func(_ *service, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	s.url = strings.Replace(s.url, "http:", "https:", 1)
	got := failed(t, wire.New(wire.Limits{Time: time.Second}), s, request(t, t.Context(), http.MethodPost, s.url+query, "x"))
	if diff := cmp.Diff(outcome{NotSent: true}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCall_SendsOnceAndSaysThatNobodyKnows(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		start func(t *testing.T) *service
		want  outcome
	}{
		"hung up before reading": {func(t *testing.T) *service { return accept(t, func(*service, net.Conn) {}) }, outcome{}},
		"hung up after reading":  {func(t *testing.T) *service { return serve(t, false, hangUp) }, outcome{Reached: 1}},
		"not HTTP":               {func(t *testing.T) *service { return accept(t, says(strings.Repeat("SSH-2.0-", 1000)+"\r\n\r\n")) }, outcome{Reached: 1}},
		"echo":                   {func(t *testing.T) *service { return accept(t, says("POST "+query+" HTTP/1.1\r\n\r\n")) }, outcome{Reached: 1}},
		"header without a colon": {func(t *testing.T) *service {
			return accept(t, says("HTTP/1.1 200 OK\r\n"+strings.Repeat("x", 900)+"\r\n\r\n"))
		}, outcome{Reached: 1}},
		"endless header": {func(t *testing.T) *service {
			return accept(t, says("HTTP/1.1 200 OK\r\n"+strings.Repeat("A: b\r\n", 50_000)+"\r\n"))
		}, outcome{Reached: 1}},
		"cut in the header": {func(t *testing.T) *service { return accept(t, says("HTTP/1.1 200 OK\r\nContent-Le")) }, outcome{Reached: 1}},
		"cut in the body": {func(t *testing.T) *service {
			return accept(t, says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"id\""))
		}, outcome{Reached: 1}},
	} {
		for kind, r := range requests {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				s := row.start(t)
				got := failed(t, wire.New(wire.Limits{Time: patience}), s, request(t, t.Context(), r.method, s.url+query, r.body))
				if diff := cmp.Diff(row.want, got); diff != "" || s.conns.Load() != 1 {
					t.Errorf("%d connections, (-want +got):\n%s", s.conns.Load(), diff)
				}
			})
		}
	}
}

func TestCall_EndsWithItsTime(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"slow header": hang,
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"id":`)
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, false, h)
			got := failed(t, wire.New(wire.Limits{Time: time.Second}), s, request(t, t.Context(), http.MethodPost, s.url+query, "x"))
			if got.NotSent {
				t.Error("the connection stood, so the request may have left")
			}
		})
	}
}

func TestCall_GivenUpByTheCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) { cancel(); hang(w, r) })
	_, err := wire.New(wire.Limits{Time: patience}).Call(request(t, ctx, http.MethodPost, s.url, "x"))
	if !errors.Is(err, context.Canceled) || errors.Is(err, wire.ErrNotSent) {
		t.Errorf("got %v", err)
	}
}

func TestCall_ReadsUpToTheLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 { // in pieces, so that no length is announced
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
			_ = http.NewResponseController(w).Flush()
		}
	})
	got, err := wire.New(wire.Limits{Bytes: 100_000}).Call(request(t, t.Context(), http.MethodGet, s.url, ""))
	if err != nil || len(got.Body) != 100_000 {
		t.Errorf("%d bytes, %v", len(got.Body), err)
	}
	late := failed(t, wire.New(wire.Limits{Bytes: 99_999}), s, request(t, t.Context(), http.MethodGet, s.url+query, ""))
	if diff := cmp.Diff(outcome{Reached: 2}, late); diff != "" {
		t.Errorf("past the limit (-want +got):\n%s", diff)
	}
}

func TestCall_DoesNotFollow(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{"/elsewhere", "http://%zz?key=hidden", ""} {
			s := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			})
			for kind, r := range requests {
				before := s.reached.Load()
				got, err := wire.New(wire.Limits{}).Call(request(t, t.Context(), r.method, s.url+query, r.body))
				if err != nil || got.Status != status || got.Header.Get("Location") != to || s.reached.Load() != before+1 {
					t.Errorf("%d to %q, %s: status %d, %v, %d requests", status, to, kind, got.Status, err, s.reached.Load()-before)
				}
			}
		}
	}
}

// A server may close a kept connection at any moment. net/http would send a request that it met that way again.
func TestCall_TakesNoKeptConnection(t *testing.T) {
	t.Parallel()
	s := accept(t, func(s *service, conn net.Conn) {
		for answered, reader := false, bufio.NewReader(conn); ; answered = true {
			req, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			s.reached.Add(1)
			if answered {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	c := wire.New(wire.Limits{Time: patience})
	for range 2 {
		for kind, r := range requests {
			got, err := c.Call(request(t, t.Context(), r.method, s.url, r.body))
			if diff := cmp.Diff("ok", string(got.Body)); diff != "" || err != nil {
				t.Errorf("%s: %v, body (-want +got):\n%s", kind, err, diff)
			}
		}
	}
	if want := int64(2 * len(requests)); s.reached.Load() != want || s.conns.Load() != want {
		t.Errorf("%d calls made %d requests on %d connections", want, s.reached.Load(), s.conns.Load())
	}
}

// An SDK gives the request a way to repeat its body; nobody below may use it, and the SDK's own request stays as it was.
func TestDo_ServesSDKs(t *testing.T) {
	t.Parallel()
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	var client interface {
		Do(*http.Request) (*http.Response, error)
	} = wire.New(wire.Limits{})
	req := request(t, t.Context(), http.MethodPost, s.url, "echo")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if diff := cmp.Diff("echo", string(body)); diff != "" || err != nil || req.GetBody == nil {
		t.Errorf("%v, GetBody gone: %v, body (-want +got):\n%s", err, req.GetBody == nil, diff)
	}
}

func TestNewRequest_DoesNotTellTheURL(t *testing.T) {
	t.Parallel()
	_, wrong := wire.NewRequest(t.Context(), http.MethodGet, "http://127.0.0.1/\x7f?key=hidden", nil)
	_, unsayable := wire.NewJSONRequest(t.Context(), http.MethodPost, "http://127.0.0.1"+query, func() {})
	for _, err := range []error{wrong, unsayable} {
		if !errors.Is(err, wire.ErrNotSent) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v", err)
		}
	}
}

func TestNewJSONRequest(t *testing.T) {
	t.Parallel()
	for want, in := range map[string]any{`{"n":1} application/json`: map[string]int{"n": 1}, " ": nil} {
		req, err := wire.NewJSONRequest(t.Context(), http.MethodPost, "http://127.0.0.1", in)
		if err != nil {
			t.Fatal(err)
		}
		var body []byte
		if req.Body != nil {
			body, _ = io.ReadAll(req.Body)
		}
		if got := string(body) + " " + req.Header.Get("Content-Type"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
