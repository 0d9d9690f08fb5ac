package openai

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"castad/internal/fault"
	"castad/providers/wire"
)

const (
	maxAnswerBytes = 4 << 20
	maxErrorBytes  = 64 << 10
)

// doer is the SDK's way to the network. It turns error answers into apiError itself, because the SDK's
// error type can only be named through its root package, which costs a fifth of all build time.
type doer struct{ wire *wire.Caller }

func newDoer(timeout time.Duration) doer {
	return doer{wire.New(wire.Limits{Time: timeout, Bytes: maxAnswerBytes})}
}

// Do makes one request, never twice.
func (d doer) Do(req *http.Request) (*http.Response, error) {
	resp, err := d.wire.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

// apiError is an answered refusal. Code and kind are empty when the body isn't the API's own (a gateway's page).
type apiError struct {
	status              int
	code, kind, message string
	requestID           string
	header              http.Header
}

func (e *apiError) Error() string {
	return fmt.Sprintf("HTTP status %d, code %q, type %q, request %q: %.300s", e.status, e.code, e.kind, e.requestID, e.message)
}

// named reports whether the API itself said that it is overloaded, so that it surely hasn't begun.
func (e *apiError) named() bool {
	return e.code == "server_is_overloaded" || e.kind == "service_unavailable_error"
}

func readError(resp *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	if err != nil {
		return err
	}
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(raw, &body) // a gateway's page leaves the fields empty
	return &apiError{status: resp.StatusCode, code: body.Error.Code, kind: body.Error.Type,
		message: body.Error.Message, requestID: resp.Header.Get("x-request-id"), header: resp.Header}
}

// refusal classifies an answered refusal by the table in the provider's documentation of error codes.
func (c *Client) refusal(e *apiError) error {
	switch {
	case e.code == "conversation_locked": // an earlier call in this conversation was accepted, and is being worked on
		return fault.Unsure("openai_outcome_unknown", e)
	case e.status < 400: // a redirect, which isn't followed
		return fault.Unsure("openai_outcome_unknown", e)
	case e.status == http.StatusUnauthorized || e.status == http.StatusForbidden:
		return fault.Stop("openai_key_refused", e)
	case e.code == "model_not_found" || e.status == http.StatusNotFound:
		return fault.Stop("openai_model_gone", e)
	case e.status == http.StatusRequestTimeout && e.code == "" && e.kind == "":
		return fault.Unsure("openai_outcome_unknown", e)
	case e.status == http.StatusRequestTimeout || e.status == http.StatusConflict:
		return fault.Retry("openai_busy", e)
	case e.status == http.StatusTooManyRequests:
		return c.tooMany(e)
	case e.status >= 500:
		return fault.Wait(c.after(e, 30*time.Second), "openai_overloaded", e)
	default:
		return fault.Stop("openai_prompt_refused", e)
	}
}

func (c *Client) tooMany(e *apiError) error {
	for _, word := range []string{e.code, e.kind} {
		switch word {
		case "insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached":
			return fault.Stop("openai_no_credits", e)
		case "slow_down":
			return fault.Wait(c.after(e, time.Minute), "openai_slow_down", e)
		}
	}
	return fault.Wait(c.after(e, 20*time.Second), "openai_rate_limited", e)
}

// after is the instant that the answer's headers name, at most an hour from now; otherwise is used without one.
func (c *Client) after(e *apiError, otherwise time.Duration) time.Time {
	wait := otherwise
	if s, err := strconv.ParseFloat(e.header.Get("Retry-After"), 64); err == nil && s > 0 {
		wait = time.Duration(min(s, 3600) * float64(time.Second))
	} else if at, err := http.ParseTime(e.header.Get("Retry-After")); err == nil {
		wait = at.Sub(c.cfg.Now())
	} else if d := longestReset(e.header); d > 0 {
		wait = d
	}
	return c.cfg.Now().Add(min(max(wait, time.Second), time.Hour))
}

func longestReset(h http.Header) time.Duration {
	requests, _ := time.ParseDuration(h.Get("x-ratelimit-reset-requests"))
	tokens, _ := time.ParseDuration(h.Get("x-ratelimit-reset-tokens"))
	return max(requests, tokens)
}
