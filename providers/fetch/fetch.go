// Package fetch gets files from addresses that users gave or that were found on pages.
//
// Every address is hostile until the connection is made: where a name points to is judged when
// connecting, for each redirect anew, and sizes and times are limited. Start with New.
package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"code.dny.dev/ssrf"

	"castad/internal/fault"
)

// Config limits what is fetched.
type Config struct {
	// Allow lists host:port pairs, exactly as they stand in URLs, that may be reached although they
	// aren't public: the sandbox on loopback. Empty in production.
	Allow         []string
	Timeout       time.Duration // of an image, or until a stream's first byte; 0 means 30 s
	StreamTimeout time.Duration // of a whole stream; 0 means 10 minutes
	MaxImageBytes int64         // 0 means 20 MiB
	UserAgent     string        // "" means "CastAD/1.0"
}

const (
	maxRedirects = 5
	mostDial     = 10 * time.Second
)

// Client is safe for concurrent use.
type Client struct {
	cfg    Config
	http   *http.Client
	guard  *ssrf.Guardian
	dialer net.Dialer // for everything but exceptions
}

// wireServer is where Azure's machines find their host: an address that is public by its number alone.
var wireServer = netip.MustParsePrefix("168.63.129.16/32")

// New fills the defaults of cfg. It makes no call.
func New(cfg Config) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.StreamTimeout <= 0 {
		cfg.StreamTimeout = 10 * time.Minute
	}
	if cfg.MaxImageBytes <= 0 {
		cfg.MaxImageBytes = 20 << 20
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "CastAD/1.0"
	}
	c := &Client{cfg: cfg, guard: ssrf.New(ssrf.WithDeniedV4Prefixes(wireServer))}
	c.dialer = net.Dialer{Timeout: mostDial, Control: c.guard.Safe}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:            c.dial,
			TLSHandshakeTimeout:    mostDial,
			ResponseHeaderTimeout:  cfg.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // so that the limit counts what is kept in memory
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fault.Stop("url_unreachable", fmt.Errorf("more than %d redirects", maxRedirects))
			}
			req.Header.Del("Referer") // the last address may hold a secret
			return c.CheckURL(req.URL.String())
		},
	}
	return c
}

// dial lets exact exceptions pass and has every other address judged after its name was resolved.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if slices.Contains(c.cfg.Allow, addr) {
		return (&net.Dialer{Timeout: mostDial}).DialContext(ctx, network, addr)
	}
	return c.dialer.DialContext(ctx, network, addr)
}

// Image returns a whole picture and its type by its first bytes, whatever the server says: image/jpeg,
// image/png, image/gif, image/webp or image/bmp. Faults: "url_malformed", "url_not_public", "too_large" and
// "not_an_image" are Permanent; "url_unreachable" and "url_refused" (an answered 4xx) are Retryable.
func (c *Client) Image(ctx context.Context, raw string) (data []byte, contentType string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	resp, err := c.open(ctx, raw, c.cfg.MaxImageBytes)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(&limited{r: resp.Body, left: c.cfg.MaxImageBytes, host: resp.Request.URL.Host})
	if err != nil {
		return nil, "", err
	}
	contentType = http.DetectContentType(data)
	if !strings.HasPrefix(contentType, "image/") || strings.Contains(contentType, "icon") {
		return nil, "", fault.Stop("not_an_image", fmt.Errorf("fetch from %s: content looks like %s", resp.Request.URL.Host, contentType))
	}
	return data, contentType, nil
}

// Stream returns a file as it arrives; the caller closes it. contentType is the server's word, size is -1
// when unknown. Reading past limit bytes fails with "too_large", a cut line with "url_unreachable": a file is
// whole only when it was read to io.EOF. Faults as for Image, and "not_a_file" (Retryable) for an empty answer or a text:
// that is how servers say with status 200 that something is wrong.
func (c *Client) Stream(ctx context.Context, raw string, limit int64) (body io.ReadCloser, contentType string, size int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.StreamTimeout)
	resp, err := c.open(ctx, raw, limit) //nolint:bodyclose // the body is what the caller gets, and closes
	if err != nil {
		cancel()
		return nil, "", 0, err
	}
	content := bufio.NewReader(resp.Body)
	if err := fileLike(content, resp.Request.URL.Host); err != nil {
		cancel()
		resp.Body.Close()
		return nil, "", 0, err
	}
	return &stream{limited{r: content, left: limit, host: resp.Request.URL.Host}, resp.Body, cancel},
		resp.Header.Get("Content-Type"), resp.ContentLength, nil
}

// sniffed is how many bytes http.DetectContentType looks at.
const sniffed = 512

// fileLike looks at the first bytes of what shall be a sound, a picture or a film.
func fileLike(content *bufio.Reader, host string) error {
	head, err := content.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return unreachable(host, err)
	}
	if kind := http.DetectContentType(head); len(head) == 0 || strings.HasPrefix(kind, "text/") {
		return fault.Retry("not_a_file", fmt.Errorf("fetch from %s: %d bytes that look like %s", host, len(head), kind))
	}
	return nil
}

type stream struct {
	limited
	body   io.Closer
	cancel context.CancelFunc
}

func (s *stream) Close() error {
	defer s.cancel()
	return s.body.Close()
}

func (c *Client) open(ctx context.Context, raw string, limit int64) (*http.Response, error) {
	if err := c.CheckURL(raw); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, nil)
	if err != nil {
		return nil, fault.Stop("url_malformed", errors.New("address can't be parsed"))
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(req.URL.Host, err)
	}
	if err := acceptable(resp, limit); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

func acceptable(resp *http.Response, limit int64) error {
	host := resp.Request.URL.Host
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return fault.Retry("url_unreachable", fmt.Errorf("fetch from %s: HTTP status %d", host, resp.StatusCode))
	case resp.StatusCode != http.StatusOK:
		return fault.Retry("url_refused", fmt.Errorf("fetch from %s: HTTP status %d", host, resp.StatusCode))
	case resp.ContentLength > limit:
		return tooLarge(host)
	}
	return nil
}

// unreachable names the host but not the address: queries hold signatures.
func unreachable(host string, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	for _, prohibited := range []error{ssrf.ErrProhibitedIP, ssrf.ErrProhibitedPort, ssrf.ErrProhibitedNetwork} {
		if errors.Is(err, prohibited) {
			return fault.Stop("url_not_public", fmt.Errorf("fetch from %s: %w", host, prohibited))
		}
	}
	if fault.Classified(err) {
		return fmt.Errorf("fetch from %s: %w", host, err)
	}
	return fault.Retry("url_unreachable", fmt.Errorf("fetch from %s: %w", host, err))
}

func tooLarge(host string) error {
	return fault.Stop("too_large", fmt.Errorf("fetch from %s: more bytes than allowed", host))
}

// limited fails, instead of ending, when there is more than left.
type limited struct {
	r    io.Reader
	left int64
	host string
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, tooLarge(l.host)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fault.Retry("url_unreachable", fmt.Errorf("fetch from %s: %w", l.host, err))
	}
	return n, err
}
