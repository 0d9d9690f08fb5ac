// Package suno orders songs from sunoapi.org and reads what became of them.
//
// It speaks the reseller's JSON over HTTP and classifies each refusal; it doesn't wait,
// repeat or remember anything. Start with New; Submit is the only call that costs credits.
package suno

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/wire"
)

// Config says where the service is and who we are there.
type Config struct {
	BaseURL string           // "" means https://api.sunoapi.org
	Key     string           // sent as a bearer token; never logged
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
		cfg.BaseURL = "https://api.sunoapi.org"
	}
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Client{cfg: cfg, wire: wire.New(wire.Limits{Time: cfg.Timeout, Bytes: maxReplyBytes})}
}

type orderBody struct {
	CustomMode   bool   `json:"customMode"`
	Instrumental bool   `json:"instrumental"`
	Model        string `json:"model"`
	Prompt       string `json:"prompt"`
	Style        string `json:"style"`
	Title        string `json:"title"`
	VocalGender  string `json:"vocalGender,omitempty"`
	CallBackURL  string `json:"callBackUrl"`
}

// Submit orders one song (two takes of it, for the price of one job) and returns the job's id.
//
// Each accepted call is charged and there is no key that would make a second one harmless. So the
// error always says what is known: fault kind Uncertain with "suno_outcome_unknown" means that the
// order may have arrived (the first callback on order.CallbackURL would bring its id, see Confirm);
// every other kind means that nothing was accepted. Lengths are the API's: title 80 characters
// (cut here), style 1000, lyrics 5000 (200 and 3000 for model V4).
func (c *Client) Submit(ctx context.Context, order providers.SongOrder) (string, error) {
	reply, err := c.call(ctx, http.MethodPost, "/api/v1/generate", orderBody{
		CustomMode: true, Model: order.Model, Prompt: order.Lyrics, Style: order.Style,
		Title: firstRunes(order.Title, 80), VocalGender: order.Gender, CallBackURL: order.CallbackURL,
	})
	switch {
	case errors.Is(err, wire.ErrNotSent):
		return "", fault.Retry("suno_unreachable", fmt.Errorf("order song: %w", err))
	case err != nil:
		return "", fault.Unsure("suno_outcome_unknown", fmt.Errorf("order song: %w", err))
	}
	if err := c.refusal(reply); err != nil {
		return "", err
	}
	var data struct {
		TaskID string `json:"taskId"`
	}
	if reply.accepted() && json.Unmarshal(reply.Data, &data) == nil && data.TaskID != "" {
		return data.TaskID, nil
	}
	return "", fault.Unsure("suno_outcome_unknown", fmt.Errorf("order song: %w", reply.problem()))
}

type record struct {
	Param    string `json:"param"`
	Response *struct {
		Clips []struct {
			ID       string   `json:"id"`
			AudioURL string   `json:"audioUrl"`
			Duration *float64 `json:"duration"`
		} `json:"sunoData"`
	} `json:"response"`
	Status       string          `json:"status"`
	ErrorCode    json.RawMessage `json:"errorCode"`
	ErrorMessage string          `json:"errorMessage"`
}

// errUnknownJob is an answered "no such job"; in a job's first seconds it can be wrong.
var errUnknownJob = errors.New("job isn't known there")

// Look returns the state of a job. While it works, Clips already holds a first complete take.
// CALLBACK_EXCEPTION only tells that the provider couldn't reach our callback: with audio it is
// Done, without it still Working. A state that isn't known is Working. A job that the provider
// doesn't know is a Retryable fault "suno_job_unknown", as it happens right after creation too.
func (c *Client) Look(ctx context.Context, id string) (providers.Song, error) {
	rec, err := c.record(ctx, id)
	if errors.Is(err, errUnknownJob) {
		return providers.Song{}, fault.Retry("suno_job_unknown", fmt.Errorf("look at song %s: %w", id, err))
	} else if err != nil {
		return providers.Song{}, fmt.Errorf("look at song %s: %w", id, err)
	}
	song := providers.Song{ID: id, Progress: providers.Working, Clips: rec.clips()}
	switch rec.Status {
	case "SUCCESS", "CALLBACK_EXCEPTION":
		if len(song.Clips) > 0 {
			song.Progress = providers.Done
		}
	case "CREATE_TASK_FAILED", "GENERATE_AUDIO_FAILED", "SENSITIVE_WORD_ERROR":
		song.Progress, song.Code = providers.Broken, rec.Status
		song.Reason = strings.TrimSpace(strings.Trim(string(rec.ErrorCode), `"`) + " " + rec.ErrorMessage)
	}
	return song, nil
}

func (r record) clips() []providers.Clip {
	if r.Response == nil {
		return nil
	}
	var clips []providers.Clip
	for _, raw := range r.Response.Clips {
		if raw.AudioURL == "" || raw.Duration == nil {
			continue
		}
		clips = append(clips, providers.Clip{ID: raw.ID, AudioURL: raw.AudioURL, Seconds: *raw.Duration})
	}
	return clips
}

func (c *Client) record(ctx context.Context, id string) (record, error) {
	reply, err := c.call(ctx, http.MethodGet, "/api/v1/generate/record-info?taskId="+url.QueryEscape(id), nil)
	if err != nil {
		return record{}, err
	}
	if reply.Code == 404 || reply.accepted() && string(reply.Data) == "null" {
		return record{}, errUnknownJob
	}
	if err := c.readable(reply); err != nil {
		return record{}, err
	}
	var rec record
	if err := json.Unmarshal(reply.Data, &rec); err != nil {
		return record{}, fmt.Errorf("read record: %w", err)
	}
	return rec, nil
}

// Confirm reports whether the job with this id was ordered with callbackURL. A callback's body can be
// forged; the record can't. So an id that a callback brought is adopted only after this.
func (c *Client) Confirm(ctx context.Context, id, callbackURL string) (bool, error) {
	rec, err := c.record(ctx, id)
	if errors.Is(err, errUnknownJob) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("confirm song %s: %w", id, err)
	}
	var param struct {
		CallBackURL string `json:"callBackUrl"`
	}
	if err := json.Unmarshal([]byte(rec.Param), &param); err != nil {
		return false, nil //nolint:nilerr // a record that doesn't repeat our request isn't ours
	}
	return callbackURL != "" && param.CallBackURL == callbackURL, nil
}

// Words returns what is sung when, in singing order. The units are the provider's: words, syllables or
// whole lines, by language; Text is as given, with section tags, blanks and line feeds. A unit that
// could not be aligned has no time; its text is joined to its neighbour's so that the lyric stays whole.
// Times may overlap or jump; a missing end equals the start. The list is empty for a clip without
// alignment (instrumental, not recognised, too early).
func (c *Client) Words(ctx context.Context, taskID, clipID string) ([]providers.Word, error) {
	reply, err := c.call(ctx, http.MethodPost, "/api/v1/generate/get-timestamped-lyrics",
		map[string]string{"taskId": taskID, "audioId": clipID})
	if err == nil {
		err = c.readable(reply)
	}
	if err != nil {
		return nil, fmt.Errorf("read words of clip %s: %w", clipID, err)
	}
	var data struct {
		Aligned []aligned `json:"alignedWords"`
	}
	if err := json.Unmarshal(reply.Data, &data); err != nil {
		return nil, fmt.Errorf("read words of clip %s: %w", clipID, err)
	}
	return timed(data.Aligned), nil
}

type aligned struct {
	Word    string   `json:"word"`
	Success *bool    `json:"success"`
	Start   *float64 `json:"startS"`
	End     *float64 `json:"endS"`
}

func timed(units []aligned) []providers.Word {
	var words []providers.Word
	pending := "" // text before the first unit that has a time
	for _, u := range units {
		untimed := u.Start == nil || u.Success != nil && !*u.Success
		switch {
		case untimed && len(words) == 0:
			pending += u.Word
		case untimed:
			words[len(words)-1].Text += u.Word
		default:
			end := *u.Start
			if u.End != nil {
				end = math.Max(end, *u.End)
			}
			words = append(words, providers.Word{Text: pending + u.Word, Start: *u.Start, End: end})
			pending = ""
		}
	}
	return words
}

// ParseCallback returns the id of the job that a callback is about. Nothing else in the body is
// believed, above all no URL: read the record. The id is checked to be 8 to 64 letters, digits, - or _.
func ParseCallback(body []byte) (string, error) {
	var in struct {
		Data struct {
			Snake string `json:"task_id"`
			Camel string `json:"taskId"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", fmt.Errorf("read suno callback: %w", err)
	}
	id := in.Data.Snake
	if id == "" {
		id = in.Data.Camel
	}
	if !plausibleID(id) {
		return "", errors.New("read suno callback: no job id in it")
	}
	return id, nil
}

func plausibleID(id string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return len(id) >= 8 && len(id) <= 64 && strings.Trim(id, allowed) == ""
}

func firstRunes(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}
