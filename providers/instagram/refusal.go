package instagram

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"castad/internal/fault"
	"castad/providers/wire"
)

// problem is the error that the Graph API answers with.
type problem struct {
	Message   string `json:"message"`
	Code      int    `json:"code"`
	Subcode   int    `json:"error_subcode"`
	Transient bool   `json:"is_transient"`
	Trace     string `json:"fbtrace_id"`

	status int
}

func (p *problem) Error() string {
	return fmt.Sprintf("HTTP status %d, code %d/%d, trace %q: %.300s", p.status, p.Code, p.Subcode, p.Trace, p.Message)
}

// vague problems don't tell whether anything happened. What Meta's table says of a code stands above its word that it is
// passing: a token that was revoked comes back as "transient" too.
func (p *problem) vague() bool {
	if p.Subcode == 2207057 {
		return false
	}
	return p.Code == 1 || p.Code == 2 || p.Subcode == 2207001 || p.Transient && !p.listed()
}

func parseProblem(a wire.Answer) (*problem, bool) {
	var body struct {
		Error problem `json:"error"`
	}
	err := json.Unmarshal(a.Body, &body)
	body.Error.status = a.Status
	return &body.Error, err == nil && body.Error.Code != 0 && a.Status >= 400
}

const codeUnreadable = "instagram_object_unreadable"

var (
	needNewContainer = []int{2207003, 2207020, 2207032, 2207053, 2207006, 2207008, 2207052, 2207076, 2207077, 2207082, 2207085}
	rateCodes        = []int{4, 17, 32, 613, 80002}
)

// listed reports whether Meta's table has an entry of its own for the problem.
func (p *problem) listed() bool {
	return p.Subcode >= 2207000 && p.Subcode < 2208000 || slices.Contains(rateCodes, p.Code) || p.Code == 100 && p.Subcode == 33 ||
		slices.Contains([]int{190, 10, 9, 9007, -2, 24, 25, 352, 9004, 36000, 36001, 36003, 36004}, p.Code) || p.Code >= 200 && p.Code <= 299
}

// refusal classifies an answered error by the table of Meta's error codes for publishing. "instagram_container_lost"
// (Retryable) asks for a new container; it is never given for one that may be published.
func (c *Client) refusal(p *problem, h http.Header) error {
	switch {
	case p.Code == 190:
		return fault.Stop("instagram_reconnect_needed", p)
	case p.Code == 10 || p.Code >= 200 && p.Code <= 299:
		return fault.Stop("instagram_permission_missing", p)
	case p.Code == 9007:
		return fault.Wait(c.cfg.Now().Add(15*time.Second), "instagram_not_ready", p)
	case p.Subcode == 2207042 || p.Code == 9:
		return fault.Wait(c.cfg.Now().Add(time.Hour), "instagram_daily_limit", p)
	case p.Subcode == 2207051:
		return fault.Stop("instagram_action_blocked", p)
	case p.Subcode == 2207050 || p.Code == 25:
		return fault.Stop("instagram_account_restricted", p)
	case slices.Contains(needNewContainer, p.Subcode) || p.Code == -2 || p.Code == 24 || p.Code == 9004:
		return fault.Retry("instagram_container_lost", p)
	case slices.Contains(rateCodes, p.Code):
		return fault.Wait(c.cfg.Now().Add(regain(h)), "instagram_rate_limited", p)
	case p.Code == 100 && p.Subcode == 33:
		return fault.Retry(codeUnreadable, p)
	case p.Code == -1:
		return fault.Retry("instagram_unavailable", p)
	default:
		return fault.Stop("instagram_post_refused", p)
	}
}

// regain is how long the usage header wants us to stay away: minutes, at most a day; ten minutes without a word.
func regain(h http.Header) time.Duration {
	var usage map[string][]struct {
		Minutes int `json:"estimated_time_to_regain_access"`
	}
	longest := 0
	if json.Unmarshal([]byte(h.Get("X-Business-Use-Case-Usage")), &usage) == nil {
		for _, uses := range usage {
			for _, use := range uses {
				longest = max(longest, use.Minutes)
			}
		}
	}
	if longest == 0 {
		return 10 * time.Minute
	}
	return time.Duration(min(longest, 24*60)) * time.Minute
}
