package suno

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"castad/internal/fault"
	"castad/providers/wire"
)

const maxReplyBytes = 8 << 20 // aligned words come with the waveform's data

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

// call makes one request. Its errors are those of wire.Caller.Call.
func (c *Client) call(ctx context.Context, method, path string, in any) (reply, error) {
	req, err := wire.NewJSONRequest(ctx, method, c.cfg.BaseURL+path, in)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.cfg.Key)
	answer, err := c.wire.Call(req)
	if err != nil {
		return reply{}, err
	}
	out := reply{status: answer.Status}
	out.enveloped = json.Unmarshal(answer.Body, &out) == nil && out.Code != 0
	return out, nil
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
