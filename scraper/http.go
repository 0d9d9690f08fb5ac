package scraper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"castad/internal/fault"
)

const (
	maxHops        = 5
	maxAnswerBytes = 8 << 20 // a page has about 550 kB
	requestTimeout = 15 * time.Second
)

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    *url.URL
}

// send makes one request and reads its answer; redirects come back as they are.
func (s *Scraper) send(ctx context.Context, req *http.Request) (answer, error) {
	if err := s.pace(ctx); err != nil {
		return answer{}, err
	}
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = requestTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := s.client().Do(req.WithContext(ctx))
	if err != nil {
		return answer{}, fault.Retry("naver_unreachable", fmt.Errorf("ask %s: %w", req.URL.Host, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return answer{}, fault.Retry("naver_unreachable", fmt.Errorf("read answer of %s: %w", req.URL.Host, err))
	}
	if len(body) > maxAnswerBytes {
		return answer{}, fault.Stop("naver_schema_changed", fmt.Errorf("answer of %s is larger than %d bytes", req.URL.Host, maxAnswerBytes))
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body, url: req.URL}, nil
}

// client returns the given client without its own way of following redirects: each hop's host is checked here.
func (s *Scraper) client() *http.Client {
	c := http.Client{}
	if s.HTTP != nil {
		c = *s.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// pace waits for this request's turn.
func (s *Scraper) pace(ctx context.Context) error {
	if s.Interval <= 0 {
		return ctx.Err()
	}
	s.mu.Lock()
	now := time.Now()
	turn := now
	if s.next.After(now) {
		turn = s.next
	}
	s.next = turn.Add(s.Interval)
	s.mu.Unlock()
	timer := time.NewTimer(turn.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow gets a URL and the redirects that it answers with, until done says that a hop's URL is enough
// (then the answer has only the URL) or a hop answers with a document.
func (s *Scraper) follow(ctx context.Context, u *url.URL, agent string, done func(*url.URL) bool) (answer, error) {
	for range maxHops + 1 {
		if done(u) {
			return answer{url: u}, nil
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return answer{}, fmt.Errorf("request %s: %w", u.Host, err)
		}
		browserHeader(req, agent)
		a, err := s.send(ctx, req)
		if err != nil {
			return answer{}, err
		}
		if a.status < 300 || a.status > 399 {
			return a, nil
		}
		if u, err = s.hop(u, a.header.Get("Location")); err != nil {
			return answer{}, err
		}
	}
	return answer{}, fault.Stop("not_a_place_url", fmt.Errorf("the link is redirected more than %d times", maxHops))
}

// hop resolves a redirect's target and refuses one that leads away from Naver.
func (s *Scraper) hop(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil || location == "" {
		return nil, fault.Stop("not_a_place_url", errors.New("the link is redirected to an address that can't be read"))
	}
	if naverHost(to.Hostname()) && to.Port() == "" && to.User == nil {
		to.Scheme = "https"
		return s.reroute(to), nil
	}
	if to.Scheme == from.Scheme && to.Host == from.Host && to.User == nil {
		return to, nil // the sandbox's own
	}
	return nil, fault.Stop("url_not_naver", errors.New("the link leads away from Naver: copy the place's link from Naver Map"))
}

// reroute replaces Naver's host by the base that is set for it.
func (s *Scraper) reroute(u *url.URL) *url.URL {
	urls := s.urls()
	var to string
	switch host := u.Hostname(); {
	case host == "naver.me":
		to = urls.Short
	case host == "map.naver.com" && urls.Map != naver.Map, host == "m.map.naver.com" && urls.Map != naver.Map:
		to = urls.Map
	case strings.HasSuffix(host, "place.naver.com") && urls.Page != naver.Page:
		to = urls.Page
	default:
		return u
	}
	base, err := url.Parse(to)
	if err != nil {
		return u
	}
	moved := *u
	moved.Scheme, moved.Host, moved.RawPath = base.Scheme, base.Host, ""
	moved.Path = base.Path + u.Path
	return &moved
}

func browserHeader(req *http.Request, agent string) {
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Accept-Language", "ko-KR,ko;q=0.9")
	req.Header.Set("Accept", "text/html,application/json;q=0.9,*/*;q=0.8")
}
