package scraper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"castad/internal/fault"
)

// How long a host is left alone that has blocked us and doesn't say for how long. One
// recorded block lasted over four and a half minutes; those with a captcha last longer.
const (
	shortBlock = 5 * time.Minute
	longBlock  = 15 * time.Minute
	maxBlock   = 6 * time.Hour
)

// refusal says what an answer means that isn't the document asked for; nil when it may be.
func (s *Scraper) refusal(a answer) error {
	at := fmt.Errorf("%s answered %d", a.url.Host, a.status)
	switch {
	case a.status == http.StatusTooManyRequests:
		return fault.Wait(s.until(a.header, shortBlock), "naver_blocked", at)
	case a.status == http.StatusForbidden || a.status == http.StatusMethodNotAllowed:
		return fault.Wait(s.until(a.header, longBlock), "naver_blocked", at)
	case blockPage(a.body) || captchaAnswer(a.body):
		return fault.Wait(s.until(a.header, shortBlock), "naver_blocked", fmt.Errorf("%w with a captcha", at))
	case a.status >= 500 || a.status == http.StatusRequestTimeout:
		return fault.Retry("naver_unavailable", at)
	}
	return nil
}

// until reads Retry-After in both of its forms (RFC 9110, section 10.2.3).
func (s *Scraper) until(h http.Header, standard time.Duration) time.Time {
	now := s.now()
	wait := standard
	value := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		wait = time.Duration(min(n, int(maxBlock/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil && at.After(now) {
		wait = at.Sub(now)
	}
	return now.Add(min(wait, maxBlock))
}

// blockPage recognises the page that stands in a place's stead. Captcha marks alone are no
// sign: a healthy page loads the captcha's script too.
func blockPage(body []byte) bool {
	if bytes.Contains(body, []byte("__APOLLO_STATE__")) || !looksLikeHTML(body) {
		return false
	}
	lower := bytes.ToLower(body)
	return bytes.Contains(body, []byte("과도한 접근 요청")) || bytes.Contains(lower, []byte("captcha"))
}

func looksLikeHTML(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// captchaAnswer recognises JSON that asks for a captcha.
func captchaAnswer(body []byte) bool {
	if !bytes.Contains(body, []byte("ncaptcha")) || looksLikeHTML(body) {
		return false
	}
	var a struct {
		Ncaptcha json.RawMessage `json:"ncaptcha"`
		PageID   string          `json:"pageId"`
		Result   struct {
			MetaInfo struct {
				PageID string `json:"pageId"`
			} `json:"metaInfo"`
		} `json:"result"`
	}
	if json.Unmarshal(body, &a) != nil {
		return false
	}
	return len(a.Ncaptcha) > 0 && string(a.Ncaptcha) != "null" ||
		strings.HasPrefix(a.PageID, "ncaptcha-") || strings.HasPrefix(a.Result.MetaInfo.PageID, "ncaptcha-")
}

func notFound(id string) error {
	return fault.Stop("place_not_found", fmt.Errorf("Naver has no place %s: it may be closed or deleted; check the link", id))
}

func schemaChanged(what string) error {
	return fault.Stop("naver_schema_changed", errors.New(what))
}
