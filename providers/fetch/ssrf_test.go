package fetch_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"castad/internal/fault"
	"castad/providers/fetch"
)

// public is an address that may be reached.
var public = netip.MustParseAddr("93.184.215.14")

// zone is what the names of attackers and of others stand for.
var zone = map[string][]string{
	"example.com.":               {"93.184.215.14"},
	"loopback.example.com.":      {"127.0.0.1"},
	"private.example.com.":       {"10.0.0.8"},
	"metadata.example.com.":      {"169.254.169.254"},
	"wireserver.example.com.":    {"168.63.129.16"},
	"alibaba.example.com.":       {"100.100.100.200"},
	"both.example.com.":          {"93.184.215.14", "127.0.0.1"},
	"127.0.0.1.nip.example.com.": {"127.0.0.1"},
	"example.com.evil.com.":      {"192.168.0.1"},
	"xn--fsqu00a.example.com.":   {"127.0.0.1"},
}

// tricks are addresses by which somebody may try to have us reach what only we can. The ones that resolve are answered by zone.
var tricks = []string{
	"http://127.0.0.1/", "http://127.8.8.8/", "http://2130706433/", "http://017700000001/", "http://0x7f000001/", "http://0x7f.0x0.0x0.0x1/",
	"http://0177.0.0.1/", "http://0177.0x0.1/", "http://127.1/", "http://127.0.1/", "http://0/", "http://0.0.0.0/", "http://00000000177.0.0.01/",
	"http://10.0.0.8/", "http://172.16.0.1/", "http://192.168.0.1/", "http://3232235521/", "http://100.100.100.200/", "http://198.18.0.1/",
	"http://169.254.169.254/latest/meta-data/", "http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://169.254.170.2/",
	"http://168.63.129.16/", "http://192.0.0.192/", "http://224.0.0.1/", "http://255.255.255.255/", "http://metadata.google.internal/",
	"http://[::]/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/",
	"http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::a00:8]/", "http://[2002:7f00:1::]/", "http://[2001:0:0:0:0:0:80ff:fffe]/",
	"http://[fc00::1]/", "http://[fd00:ec2::254]/", "http://[fe80::1]/", "http://[fe80::1%25lo]/", "http://[fec0::1]/", "http://[ff02::1]/", "http://[100::1]/",
	"http://localhost/", "http://LOCALHOST./", "http://a.localhost/", "http://localhost.localdomain/", "http://kubernetes.default.svc.cluster.local/", "http://db/",
	"http://loopback.example.com/", "http://private.example.com/", "http://metadata.example.com/", "http://wireserver.example.com/",
	"http://alibaba.example.com/", "http://127.0.0.1.nip.example.com/", "http://rebind.example.com/", "http://例子.example.com/",
	"http://example.com@127.0.0.1/", "http://example.com:80@127.0.0.1/", "http://127.0.0.1#@example.com/", "http://127.0.0.1?@example.com/",
	"http://example.com\\@127.0.0.1/", "http://127.0.0.1\\@example.com/", "http://example.com%00.evil.com/", "http://127.0.0.1%23@example.com/",
	"http://example.com.evil.com/", "http://127.0.0.1%2f@example.com/", "http://127.0.0.1:80\\t@example.com/", "http:\\\\127.0.0.1/", "http:127.0.0.1/", "//127.0.0.1/",
	"http://１２７.０.０.１/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://127．0．0．1/", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "http://ｌｏｃａｌｈｏｓｔ/",
	"http://127.0.0.1.:80/", "http://127.0.0.1:22/", "http://example.com:6379/", "http://example.com:4222/", "http://example.com:3306/",
	"gopher://127.0.0.1:6379/_FLUSHALL", "file:///etc/passwd", "ftp://127.0.0.1/", "dict://127.0.0.1:11211/stats", "data:text/html,hello", "unix:/run/docker.sock",
	"jar:http://127.0.0.1!/", "http://\r\nHost: 127.0.0.1/", "http://127.0.0.1\r\n/", " http://127.0.0.1/", "http://127.0.0.1 /", "https://127.0.0.1/", "https://[::1]/",
}

// resolver answers from zone. rebind.example.com is public when it is first asked for, and loopback from then on.
func resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	asked := 0
	served.Go(func() {
		for buffer := make([]byte, 512); ; {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			addresses := zone[m.Questions[0].Name.String()]
			if m.Questions[0].Name.String() == "rebind.example.com." && m.Questions[0].Type == dnsmessage.TypeA {
				if addresses = []string{"127.0.0.1"}; asked == 0 {
					addresses = []string{public.String()}
				}
				asked++
			}
			if packed, err := answer(m, addresses); err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	})
	t.Cleanup(func() { conn.Close(); served.Wait() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func answer(m dnsmessage.Message, addresses []string) ([]byte, error) {
	m.Response, m.Authoritative, m.RecursionAvailable = true, true, true
	m.Additionals = nil
	for _, address := range addresses {
		if m.Questions[0].Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(address).As4()}})
		}
	}
	if len(addresses) == 0 {
		m.RCode = dnsmessage.RCodeNameError
	}
	return m.Pack()
}

// spied is a client that reaches nothing, a server whose redirects it follows, and what it would have reached.
func spied(t *testing.T) (c *fetch.Client, redirects string, reached func() []netip.Addr) {
	t.Helper()
	hops := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(hops.Close)
	var mu sync.Mutex
	var all []netip.Addr
	c = fetch.New(fetch.Config{Allow: []string{strings.TrimPrefix(hops.URL, "http://")}})
	c.Spy(resolver(t), func(at netip.Addr) { mu.Lock(); all = append(all, at); mu.Unlock() })
	return c, hops.URL, func() []netip.Addr { mu.Lock(); defer mu.Unlock(); return slices.Clone(all) }
}

// None of the tricks reaches anything but the public address, asked for at once, by a redirect, or twice.
func TestSSRF_NothingIsReached(t *testing.T) {
	t.Parallel()
	for _, trick := range tricks {
		t.Run(fmt.Sprintf("%q", trick), func(t *testing.T) {
			t.Parallel()
			c, redirects, reached := spied(t)
			for _, raw := range []string{trick, redirects + "/?to=" + url.QueryEscape(trick), trick} {
				if _, _, err := c.Image(t.Context(), raw); fault.Of(err) == nil {
					t.Errorf("%q: %v, want a classified error", raw, err)
				}
				if _, _, _, err := c.Stream(t.Context(), raw, 1000); err == nil { //nolint:bodyclose // an answer would be the failure
					t.Errorf("%q was answered", raw)
				}
			}
			for _, at := range reached() {
				if at != public {
					t.Errorf("%s would have been reached", at)
				}
			}
		})
	}
}

// What is public would be reached, under its name and behind a redirect: the test above can fail.
func TestSSRF_PublicIsReached(t *testing.T) {
	t.Parallel()
	c, redirects, reached := spied(t)
	for i, raw := range []string{"http://example.com/", "https://93.184.215.14/", redirects + "/?to=http%3A%2F%2Fexample.com%2F", "http://both.example.com/"} {
		_, _, err := c.Image(t.Context(), raw)
		if got := reached(); err == nil || len(got) < i+1 || slices.ContainsFunc(got, func(at netip.Addr) bool { return at != public }) {
			t.Errorf("%s: reached %v, %v", raw, got, err)
		}
	}
}
