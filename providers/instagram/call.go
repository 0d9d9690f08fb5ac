package instagram

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

const maxAnswerBytes = 1 << 20

// newHTTPClient makes each call on a connection of its own: on a kept one, a server that hangs up
// can't be told from a lost answer. It follows no redirect, which would publish again.
func newHTTPClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: min(timeout, 10*time.Second)}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			DisableKeepAlives:   true,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes one request; the token goes in a header, never into an address. sent tells, with an error,
// whether any of it can have reached the provider.
func (c *Client) call(ctx context.Context, method, path string, in url.Values) (out answer, sent bool, err error) {
	var body io.Reader
	if method == http.MethodGet {
		path += "?" + in.Encode()
	} else {
		body = strings.NewReader(in.Encode())
	}
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), method, c.cfg.BaseURL+path, body)
	if err != nil {
		return answer{}, false, cause(err)
	}
	req.GetBody = nil // so that net/http can't repeat the request
	req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, sent, cause(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return answer{}, true, cause(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: raw}, true, nil
}

// cause drops the URL that net/http puts around an error.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
