package youtube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	_ "time/tzdata" // quotas end at midnight in Los Angeles, also where no zones are installed

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
	out := problem{status: a.Status}
	if json.Unmarshal(a.Body, &body) == nil {
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
		a.Status == http.StatusTooManyRequests && strings.Contains(strings.ToLower(p.message), "per day")
}

// refusal classifies an answered error by the table in the API's documentation.
func (c *Client) refusal(a answer) error {
	p := a.problem()
	switch {
	case a.daily():
		return fault.Wait(nextPacificMidnight(c.cfg.Now()), "youtube_quota_used_up", p)
	case p.reason == "uploadLimitExceeded":
		return fault.Wait(c.cfg.Now().Add(24*time.Hour), "youtube_channel_limit", p)
	case a.Status == http.StatusTooManyRequests, p.reason == "rateLimitExceeded", p.reason == "userRateLimitExceeded":
		return fault.Wait(c.cfg.Now().Add(30*time.Second), "youtube_too_fast", p)
	case p.reason == "youtubeSignupRequired":
		return fault.Stop("youtube_no_channel", p)
	case a.Status == http.StatusUnauthorized:
		return fault.Stop("youtube_reconnect_needed", p)
	case a.Status == http.StatusForbidden:
		return fault.Stop("youtube_forbidden", p)
	case a.Status == http.StatusConflict, a.Status == http.StatusRequestTimeout, a.Status >= 500, a.Status < 400:
		return fault.Retry("youtube_unavailable", p)
	case a.Status == http.StatusNotFound:
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
