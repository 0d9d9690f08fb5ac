// Package creatomate orders videos from Creatomate and reads what became of them.
//
// A composition becomes a RenderScript (script.go); the free dry run finds what is certainly wrong with
// it before anything is paid. Start with New; Submit is the only call that costs credits.
package creatomate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/wire"
)

// Config says where the service is and which project we are there.
type Config struct {
	BaseURL string           // "" means https://api.creatomate.com
	Key     string           // of one project; sent as a bearer token; never logged
	Version string           // "v2" (also "") or "v1", which has no dry run
	Timeout time.Duration    // of one call, answer included; 0 means 30 s
	Now     func() time.Time // nil means time.Now
}

// Client is safe for concurrent use.
type Client struct {
	cfg  Config
	wire *wire.Caller
}

// New fills the defaults of cfg. It makes no call.
func New(cfg Config) *Client {
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://api.creatomate.com"
	}
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	if cfg.Version != "v1" {
		cfg.Version = "v2"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Client{cfg: cfg, wire: wire.New(wire.Limits{Time: cfg.Timeout, Bytes: maxAnswerBytes})}
}

// Submit orders one video and returns the render's id.
//
// Each accepted call is billed and there is no key that would make a second one harmless. Fault kind
// Uncertain with "creatomate_outcome_unknown" means that the order may have arrived (its webhook would
// tell, or FindByMetadata); every other kind means that nothing was accepted.
func (c *Client) Submit(ctx context.Context, order providers.RenderOrder) (string, error) {
	if err := complete(order.Composition); err != nil {
		return "", fault.Stop("creatomate_order_incomplete", err)
	}
	script := scriptOf(order.Composition)
	if err := c.dryRun(ctx, script); err != nil {
		return "", err
	}
	var body any = paidOrder{script: script, Metadata: order.Metadata, WebhookURL: order.CallbackURL}
	if c.cfg.Version == "v1" {
		body = paidOrder{Source: &script, Metadata: order.Metadata, WebhookURL: order.CallbackURL}
	}
	got, err := c.call(ctx, http.MethodPost, "/"+c.cfg.Version+"/renders", body)
	switch {
	case errors.Is(err, wire.ErrNotSent):
		return "", fault.Retry("creatomate_unreachable", fmt.Errorf("order render: %w", err))
	case err != nil:
		return "", fault.Unsure("creatomate_outcome_unknown", fmt.Errorf("order render: %w", err))
	case got.Status >= 400 && got.Status < 500:
		return "", c.refusal(got)
	}
	made, err := oneRender(got.Body)
	if got.Status >= 300 || err != nil {
		return "", fault.Unsure("creatomate_outcome_unknown", errors.Join(problem(got), err))
	}
	return made.ID, nil
}

// paidOrder has the script's fields at its top level (v2) or under "source" (v1).
type paidOrder struct {
	script
	Source     *script `json:"source,omitempty"`
	Metadata   string  `json:"metadata,omitempty"`
	WebhookURL string  `json:"webhook_url,omitempty"`
	DryRun     bool    `json:"dry_run,omitempty"`
}

func complete(c providers.Composition) error {
	switch {
	case len(c.Photos) == 0:
		return errors.New("composition has no photos")
	case c.SongURL == "":
		return errors.New("composition has no song")
	case c.Seconds <= 0 || c.Width <= 0 || c.Height <= 0:
		return errors.New("composition has no length or no size")
	}
	return nil
}

// dryRun is free, so whatever happens to it the paid order surely hasn't been placed.
func (c *Client) dryRun(ctx context.Context, s script) error {
	if c.cfg.Version == "v1" {
		return nil
	}
	got, err := c.call(ctx, http.MethodPost, "/v2/renders", paidOrder{script: s, DryRun: true})
	if err != nil {
		return fault.Retry("creatomate_unreachable", fmt.Errorf("check script: %w", err))
	}
	if got.Status >= 400 && got.Status < 500 {
		return c.refusal(got)
	}
	var verdict struct {
		Valid  *bool           `json:"valid"`
		Errors json.RawMessage `json:"errors"`
	}
	if got.Status != http.StatusOK || json.Unmarshal(got.Body, &verdict) != nil || verdict.Valid == nil {
		return fault.Retry("creatomate_check_failed", fmt.Errorf("check script: %w", problem(got)))
	}
	if !*verdict.Valid {
		return fault.Stop("creatomate_script_invalid", fmt.Errorf("check script: %.500s", verdict.Errors))
	}
	return nil
}

// refusal classifies an answered 4xx, with which nothing was accepted.
func (c *Client) refusal(a wire.Answer) error {
	switch a.Status {
	case http.StatusUnauthorized:
		return fault.Stop("creatomate_key_refused", problem(a))
	case http.StatusPaymentRequired, http.StatusForbidden:
		return fault.Stop("creatomate_no_credits", problem(a))
	case http.StatusTooManyRequests:
		return fault.Wait(c.cfg.Now().Add(10*time.Second), "creatomate_too_fast", problem(a))
	case http.StatusRequestTimeout:
		return fault.Retry("creatomate_unreachable", problem(a))
	default:
		return fault.Stop("creatomate_order_refused", problem(a))
	}
}

type render struct {
	ID          string  `json:"id"`
	Status      string  `json:"status"`
	URL         string  `json:"url"`
	SnapshotURL string  `json:"snapshot_url"`
	Duration    float64 `json:"duration"`
	Error       string  `json:"error_message"`
	Metadata    string  `json:"metadata"`
}

// oneRender accepts an object or an array of one: both are met on either version.
func oneRender(body []byte) (render, error) {
	body = bytes.TrimSpace(body)
	one := make([]render, 1)
	var err error
	if bytes.HasPrefix(body, []byte("[")) {
		err = json.Unmarshal(body, &one)
	} else {
		err = json.Unmarshal(body, &one[0])
	}
	if err == nil && (len(one) != 1 || one[0].ID == "") {
		err = errors.New("answer isn't one render")
	}
	if err != nil {
		return render{}, fmt.Errorf("read render: %w", err)
	}
	return one[0], nil
}

// Look returns the state of a render. A state that isn't known is Working. A render that is gone (they are
// kept 30 days) is a Permanent fault "creatomate_render_gone".
func (c *Client) Look(ctx context.Context, id string) (providers.Render, error) {
	got, err := c.call(ctx, http.MethodGet, "/"+c.cfg.Version+"/renders/"+url.PathEscape(id), nil)
	switch {
	case err != nil:
		return providers.Render{}, fmt.Errorf("look at render %s: %w", id, err)
	case got.Status == http.StatusNotFound:
		return providers.Render{}, fault.Stop("creatomate_render_gone", problem(got))
	case got.Status >= 400 && got.Status < 500:
		return providers.Render{}, c.refusal(got)
	case got.Status != http.StatusOK:
		return providers.Render{}, fmt.Errorf("look at render %s: %w", id, problem(got))
	}
	raw, err := oneRender(got.Body)
	if err != nil {
		return providers.Render{}, err
	}
	return stateOf(raw)
}

func stateOf(raw render) (providers.Render, error) {
	out := providers.Render{ID: raw.ID, Progress: providers.Working, Metadata: raw.Metadata}
	switch raw.Status {
	case "succeeded":
		if raw.URL == "" {
			return out, fmt.Errorf("look at render %s: succeeded without a file", raw.ID)
		}
		out.Progress, out.MovieURL, out.CoverURL, out.Seconds = providers.Done, raw.URL, raw.SnapshotURL, raw.Duration
	case "failed", "cancelled":
		out.Progress, out.Reason = providers.Broken, raw.Error
	}
	return out, nil
}

// FindByMetadata looks for a render whose create answer was lost among the newest ones. The list
// (GET /v1/renders) isn't documented: where it isn't offered, nothing is found, so that "not found"
// alone doesn't prove that nothing was ordered.
func (c *Client) FindByMetadata(ctx context.Context, metadata string) (id string, found bool, err error) {
	if metadata == "" {
		return "", false, nil
	}
	got, err := c.call(ctx, http.MethodGet, "/v1/renders", nil)
	switch {
	case err != nil:
		return "", false, fmt.Errorf("list renders: %w", err)
	case got.Status == http.StatusNotFound || got.Status == http.StatusMethodNotAllowed:
		return "", false, nil
	case got.Status >= 400 && got.Status < 500:
		return "", false, c.refusal(got)
	case got.Status != http.StatusOK:
		return "", false, fmt.Errorf("list renders: %w", problem(got))
	}
	var list []render
	if err := json.Unmarshal(got.Body, &list); err != nil {
		return "", false, fmt.Errorf("list renders: %w", err)
	}
	for _, r := range list {
		if r.Metadata == metadata {
			return r.ID, r.ID != "", nil
		}
	}
	return "", false, nil
}

// ParseCallback returns the id of the render that a webhook is about. The hook isn't signed, so nothing
// else in it is believed: Look, and compare Metadata. The id is checked to be 8 to 64 letters, digits, - or _.
func ParseCallback(body []byte) (string, error) {
	raw, err := oneRender(body)
	if err != nil {
		return "", fmt.Errorf("read creatomate callback: %w", err)
	}
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if len(raw.ID) < 8 || len(raw.ID) > 64 || strings.Trim(raw.ID, allowed) != "" {
		return "", errors.New("read creatomate callback: no render id in it")
	}
	return raw.ID, nil
}
