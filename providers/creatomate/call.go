package creatomate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"
)

const maxAnswerBytes = 8 << 20 // a list of renders repeats their scripts

// newHTTPClient makes each call on a connection of its own: on a kept one, a server that hangs up
// can't be told from a lost answer. It follows no redirect, which would send an order again.
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
	body   []byte
}

// problem is a refusal as an error's text; the documented part of an error body is its hint.
func (a answer) problem() error {
	var doc struct {
		Hint    string `json:"hint"`
		Message string `json:"message"`
	}
	if json.Unmarshal(a.body, &doc) != nil {
		return fmt.Errorf("HTTP status %d", a.status)
	}
	return fmt.Errorf("HTTP status %d: %.300s", a.status, doc.Hint+doc.Message)
}

// call makes one request. sent tells, with an error, whether any of it can have reached the provider.
func (c *Client) call(ctx context.Context, method, path string, in any) (out answer, sent bool, err error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return answer{}, false, err
		}
		body = bytes.NewReader(raw)
	}
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), method, c.cfg.BaseURL+path, body)
	if err != nil {
		return answer{}, false, cause(err)
	}
	req.GetBody = nil // so that net/http can't repeat the request
	req.Header.Set("Authorization", "Bearer "+c.cfg.Key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, sent, cause(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return answer{}, true, cause(err)
	}
	return answer{status: resp.StatusCode, body: raw}, true, nil
}

// cause drops the URL that net/http puts around an error.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
