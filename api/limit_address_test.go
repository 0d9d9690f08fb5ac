package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/internal/limit"
	"castad/internal/testkit"
)

func TestBehind(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		peer, header, want string
	}{
		"nobody between":                   {"203.0.113.9", "", "203.0.113.9"},
		"a forged header":                  {"203.0.113.9", "198.51.100.1", "203.0.113.9"},
		"a proxy":                          {"10.0.0.1", "198.51.100.1", "198.51.100.1"},
		"a proxy without a word":           {"10.0.0.1", "", "10.0.0.1"},
		"a forged part before the proxy's": {"10.0.0.1", "127.0.0.1, 10.9.9.9, 198.51.100.1", "198.51.100.1"},
		"two proxies":                      {"10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"},
		"somebody of the own network":      {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		"ports":                            {"10.0.0.1", "198.51.100.1:4711", "198.51.100.1"},
		"IPv6":                             {"fd00::1", "2001:db8::5", "2001:db8::5"},
		"IPv6 with a port":                 {"fd00::1", "[2001:db8::5]:80", "2001:db8::5"},
		"IPv6 in brackets":                 {"fd00::1", "[2001:db8::5]", "2001:db8::5"},
		"IPv4 as IPv6":                     {"10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"},
		"a zone":                           {"10.0.0.1", "fe80::1%eth0", "fe80::1"},
		"no address":                       {"10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"},
		"no address further left":          {"10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"},
		"empty entries":                    {"10.0.0.1", "198.51.100.1, ,", "10.0.0.1"},
	} {
		var forwarded []string
		if c.header != "" {
			forwarded = strings.Split(c.header, ",")
		}
		if diff := cmp.Diff(c.want, behind(netip.MustParseAddr(c.peer), forwarded, trusted).String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestLimit_ForgedForwardingHelpsNobody(t *testing.T) {
	t.Parallel()
	addr, _ := testkit.Redis(t)
	rates := map[budget]limit.Rate{loginBudget: few(2)}
	direct := start(t, limited(t, "redis://"+addr, rates))
	proxied := start(t, limited(t, "redis://"+addr, rates, "127.0.0.0/8"))
	login := func(r *rig, forwarded ...string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/auth/dev/login", strings.NewReader(`{"nickname":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Content-Type"], req.Header["X-Forwarded-For"] = []string{"application/json"}, forwarded
		return r.do(req).status
	}
	for i, forged := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "127.0.0.1", "10.0.0.1, 198.51.100.4"} {
		want := http.StatusOK
		if i >= 2 {
			want = http.StatusTooManyRequests
		}
		if diff := cmp.Diff(want, login(direct, forged)); diff != "" {
			t.Errorf("%s: %s", forged, diff)
		}
	}
	for i, step := range []struct {
		forwarded []string
		want      int
	}{
		{[]string{"203.0.113.1"}, 200},
		{[]string{"198.51.100.1, 203.0.113.1"}, 200},
		{[]string{"198.51.100.2, 203.0.113.1"}, 429},            // the client's own words before the proxy's
		{[]string{"198.51.100.3", "203.0.113.1"}, 429},          // or on a line of their own
		{[]string{"198.51.100.3, 203.0.113.1, 127.0.0.7"}, 429}, // through two proxies
		{[]string{"203.0.113.2"}, 200},
		{[]string{"2001:db8::1"}, 200},
		{[]string{"2001:db8::2"}, 200}, // of the same network of 64 bits
		{[]string{"2001:db8::3"}, 429},
		{[]string{"2001:db8:0:1::3"}, 200},
	} {
		if diff := cmp.Diff(step.want, login(proxied, step.forwarded...)); diff != "" {
			t.Errorf("step %d, %v: %s", i, step.forwarded, diff)
		}
	}
}

// silence is a server that takes calls and never says a word.
type silence struct {
	net.Listener
	called atomic.Int32
}

func newSilence(t *testing.T) *silence {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silence{Listener: listener}
	var taking sync.WaitGroup
	taking.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.called.Add(1)
			t.Cleanup(func() { conn.Close() })
		}
	})
	t.Cleanup(func() { listener.Close(); taking.Wait() })
	return s
}
