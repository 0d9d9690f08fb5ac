package suno

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

	"castad/internal/fault"
)

const maxReplyBytes = 8 << 20 // aligned words come with the waveform's data

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

// reply is the envelope around each answer; Code decides, not the HTTP status.
type reply struct {
	Code    int             `json:"code"`
	Msg     string          `json:"msg"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`

	status    int
	enveloped bool
}

func (r reply) accepted() bool { return r.enveloped && r.Code == 200 }

// problem is the answer as an error's text, without the data.
func (r reply) problem() error {
	if !r.enveloped {
		return fmt.Errorf("HTTP status %d without an envelope", r.status)
	}
	text := r.Msg
	if text == "" {
		text = r.Message
	}
	return fmt.Errorf("code %d: %.300s", r.Code, text)
}

// call makes one request. sent tells, with an error, whether any of it can have reached the provider.
func (c *Client) call(ctx context.Context, method, path string, in any) (out reply, sent bool, err error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return reply{}, false, err
		}
		body = bytes.NewReader(raw)
	}
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), method, c.cfg.BaseURL+path, body)
	if err != nil {
		return reply{}, false, cause(err)
	}
	req.GetBody = nil // so that net/http can't repeat the request
	req.Header.Set("Authorization", "Bearer "+c.cfg.Key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, sent, cause(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBytes))
	if err != nil {
		return reply{}, true, cause(err)
	}
	out.enveloped = json.Unmarshal(raw, &out) == nil && out.Code != 0
	out.status = resp.StatusCode
	return out, true, nil
}

// cause drops the URL that net/http puts around an error: queries hold ids, some hold secrets.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// refusal returns the fault of an order that was surely refused, and nil when it may have been accepted.
// The codes are those of the provider's documentation; 429 is an empty account there, not a rate limit.
func (c *Client) refusal(r reply) error {
	code := r.Code
	if !r.enveloped {
		code = withoutEnvelope(r.status)
	}
	switch code {
	case 400, 413, 422:
		return fault.Stop("suno_order_refused", r.problem())
	case 401, 403:
		return fault.Stop("suno_key_refused", r.problem())
	case 402, 429:
		return fault.Stop("suno_no_credits", r.problem())
	case 404, 505:
		return fault.Stop("suno_not_offered", r.problem())
	case 405, 430:
		return fault.Wait(c.cfg.Now().Add(15*time.Second), "suno_too_fast", r.problem())
	case 455:
		return fault.Wait(c.cfg.Now().Add(5*time.Minute), "suno_maintenance", r.problem())
	default:
		return nil
	}
}

// withoutEnvelope translates what only a gateway can have answered, so the order never got to the service.
func withoutEnvelope(status int) int {
	switch status {
	case http.StatusTooManyRequests:
		return 430 // the gateway's 429 is a rate limit
	case http.StatusMethodNotAllowed:
		return 404
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusPaymentRequired,
		http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return status
	default:
		return 0
	}
}

// readable returns nil for an answer with data. What a read can't cure is a Permanent fault, the rest is plain.
func (c *Client) readable(r reply) error {
	if r.accepted() {
		return nil
	}
	if err := c.refusal(r); err != nil {
		return err
	}
	return r.problem()
}
