package youtube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // quotas end at midnight in Los Angeles, also where no zones are installed

	"golang.org/x/oauth2"

	"castad/internal/fault"
)

type problem struct {
	status          int
	reason, message string
}

func (p problem) Error() string {
	return fmt.Sprintf("HTTP status %d, reason %q: %.300s", p.status, p.reason, p.message)
}

func (a answer) problem() problem {
	var body struct {
		Error struct {
			Message string `json:"message"`
			Errors  []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
		} `json:"error"`
	}
	out := problem{status: a.status}
	if json.Unmarshal(a.body, &body) == nil {
		out.message = body.Error.Message
		if len(body.Error.Errors) > 0 {
			out.reason = body.Error.Errors[0].Reason
		}
	}
	return out
}

// daily reports whether a refusal lasts until the quota's day ends.
func (a answer) daily() bool {
	p := a.problem()
	return p.reason == "quotaExceeded" || p.reason == "dailyLimitExceeded" ||
		a.status == http.StatusTooManyRequests && strings.Contains(strings.ToLower(p.message), "per day")
}

// refusal classifies an answered error by the table in the API's documentation.
func (c *Client) refusal(a answer) error {
	p := a.problem()
	switch {
	case a.daily():
		return fault.Wait(nextPacificMidnight(c.cfg.Now()), "youtube_quota_used_up", p)
	case p.reason == "uploadLimitExceeded":
		return fault.Wait(c.cfg.Now().Add(24*time.Hour), "youtube_channel_limit", p)
	case a.status == http.StatusTooManyRequests, p.reason == "rateLimitExceeded", p.reason == "userRateLimitExceeded":
		return fault.Wait(c.cfg.Now().Add(30*time.Second), "youtube_too_fast", p)
	case p.reason == "youtubeSignupRequired":
		return fault.Stop("youtube_no_channel", p)
	case a.status == http.StatusUnauthorized:
		return fault.Stop("youtube_reconnect_needed", p)
	case a.status == http.StatusForbidden:
		return fault.Stop("youtube_forbidden", p)
	case a.status == http.StatusConflict, a.status == http.StatusRequestTimeout, a.status >= 500, a.status < 400:
		return fault.Retry("youtube_unavailable", p)
	case a.status == http.StatusNotFound:
		return fault.Stop("youtube_not_found", p)
	default:
		return fault.Stop("youtube_post_refused", p)
	}
}

// nextPacificMidnight is when the project's daily quotas start again.
func nextPacificMidnight(now time.Time) time.Time {
	pacific, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		pacific = time.FixedZone("PST", -8*3600)
	}
	day := now.In(pacific)
	return time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, pacific).UTC()
}

// tokens keeps an access token until it ends or was refused.
type tokens struct {
	http    *http.Client
	conf    oauth2.Config
	refresh string

	mu   sync.Mutex
	held *oauth2.Token
}

func (t *tokens) access(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held.Valid() {
		return t.held.AccessToken, nil
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.http)
	token, err := t.conf.TokenSource(ctx, &oauth2.Token{RefreshToken: t.refresh}).Token()
	if err != nil {
		return "", tokenFault(err)
	}
	t.held = token
	return token.AccessToken, nil
}

func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = nil
}

// tokenFault leaves out oauth2's own text, which repeats the whole answer.
func tokenFault(err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return fmt.Errorf("refresh access token: %w", cause(err))
	}
	short := fmt.Errorf("refresh access token: HTTP status %d, %q", refused.Response.StatusCode, refused.ErrorCode)
	switch refused.ErrorCode {
	case "invalid_grant":
		return fault.Stop("youtube_reconnect_needed", short)
	case "invalid_client", "unauthorized_client":
		return fault.Stop("youtube_client_refused", short)
	}
	return short
}
