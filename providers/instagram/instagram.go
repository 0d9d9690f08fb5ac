// Package instagram publishes reels by Meta's Graph API.
//
// A container is free and invisible, so making one again harms nobody; Publish is the one step that must
// not be repeated blindly. The package doesn't wait or remember. Start with New.
package instagram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"castad/internal/fault"
	"castad/providers/wire"
)

// Config says where the API is and which account publishes.
type Config struct {
	BaseURL string           // with the version; "" means https://graph.instagram.com/v25.0
	UserID  string           // of the professional account, decimal
	Token   string           // long-lived; sent in a header; never logged
	Timeout time.Duration    // of one call, answer included; 0 means 60 s
	Now     func() time.Time // nil means time.Now
}

// Client serves one account and is safe for concurrent use.
type Client struct {
	cfg  Config
	wire *wire.Caller
}

// New fills the defaults of cfg. It makes no call.
func New(cfg Config) *Client {
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://graph.instagram.com/v25.0"
	}
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	if cfg.Timeout <= 0 {
		cfg.Timeout = 60 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Client{cfg: cfg, wire: wire.New(wire.Limits{Time: cfg.Timeout, Bytes: maxAnswerBytes})}
}

// CreateContainer prepares a reel and returns the container's id. Meta fetches videoURL (and coverURL, which may
// be "") after the answer, so both stay readable for hours. The caption has at most 2,200 characters. A
// second call is harmless: unpublished containers vanish after 24 hours.
func (c *Client) CreateContainer(ctx context.Context, videoURL, caption, coverURL string) (string, error) {
	form := url.Values{"media_type": {"REELS"}, "video_url": {videoURL}, "caption": {caption}, "share_to_feed": {"true"}}
	if coverURL != "" {
		form.Set("cover_url", coverURL)
	}
	var out struct {
		ID string `json:"id"`
	}
	err := c.ask(ctx, http.MethodPost, "/"+url.PathEscape(c.cfg.UserID)+"/media", form, &out)
	switch {
	case err == nil && out.ID == "":
		err = errors.New("answer without an id")
	case err != nil && fault.Of(err).Code == codeUnreadable: // of what is to be read it passes; here it's the account that isn't there
		err = fault.Stop("instagram_post_refused", err)
	}
	if err != nil {
		return "", fmt.Errorf("create container: %w", err)
	}
	return out.ID, nil
}

// ContainerStatus returns one of the states above and Meta's text about it.
func (c *Client) ContainerStatus(ctx context.Context, id string) (status, detail string, err error) {
	var out struct {
		Code   string `json:"status_code"`
		Detail string `json:"status"`
	}
	if err := c.ask(ctx, http.MethodGet, "/"+url.PathEscape(id), url.Values{"fields": {"status_code,status"}}, &out); err != nil {
		return "", "", fmt.Errorf("look at container %s: %w", id, err)
	}
	return out.Code, out.Detail, nil
}

// Publish makes a finished container public and returns the media id, which is another one than the container's.
//
// Fault kind Uncertain with "instagram_outcome_unknown" means that it may be public: read the container's
// state, after PUBLISHED look with FindByMark, and never publish another container for the same post.
// Every other kind means that it isn't.
func (c *Client) Publish(ctx context.Context, containerID string) (string, error) {
	got, err := c.call(ctx, http.MethodPost, "/"+url.PathEscape(c.cfg.UserID)+"/media_publish", url.Values{"creation_id": {containerID}})
	switch {
	case errors.Is(err, wire.ErrNotSent):
		return "", fault.Retry("instagram_unreachable", fmt.Errorf("publish container %s: %w", containerID, err))
	case err != nil:
		return "", fault.Unsure("instagram_outcome_unknown", fmt.Errorf("publish container %s: %w", containerID, err))
	}
	var out struct {
		ID string `json:"id"`
	}
	if got.Status == http.StatusOK && json.Unmarshal(got.Body, &out) == nil && out.ID != "" {
		return out.ID, nil
	}
	problem, ok := parseProblem(got)
	if !ok || got.Status >= 500 || problem.vague() {
		return "", fault.Unsure("instagram_outcome_unknown", fmt.Errorf("publish container %s: %w", containerID, problem))
	}
	return "", fmt.Errorf("publish container %s: %w", containerID, c.refusal(problem, got.Header))
}

type media struct {
	ID        string `json:"id"`
	Caption   string `json:"caption"`
	Permalink string `json:"permalink"`
	Timestamp string `json:"timestamp"`
}

// page is one of a list, newest first. Cursors are how all lists of the Graph API go on; next is missing on the last one.
type page struct {
	Data   []media `json:"data"`
	Paging struct {
		Cursors struct {
			After string `json:"after"`
		} `json:"cursors"`
		Next string `json:"next"`
	} `json:"paging"`
}

const (
	pagePosts = 100
	// mostPages ends a search through a list that doesn't end; an account may publish 100 posts a day at most.
	mostPages  = 50
	timeFormat = "2006-01-02T15:04:05-0700"
	clockError = time.Hour // between their clock and ours
)

// PublishingLimit returns how many posts the account has published in the moving window of a day, and how many it may.
// Meta's documents name 25, 50 and 100: what counts is this answer. 0 may is not known.
func (c *Client) PublishingLimit(ctx context.Context) (used, may int, err error) {
	var out struct {
		Data []struct {
			Used   int `json:"quota_usage"`
			Config struct {
				Total int `json:"quota_total"`
			} `json:"config"`
		} `json:"data"`
	}
	path := "/" + url.PathEscape(c.cfg.UserID) + "/content_publishing_limit"
	if err := c.ask(ctx, http.MethodGet, path, url.Values{"fields": {"quota_usage,config"}}, &out); err != nil {
		return 0, 0, fmt.Errorf("read publishing limit: %w", err)
	}
	if len(out.Data) == 0 {
		return 0, 0, nil
	}
	return out.Data[0].Used, out.Data[0].Config.Total, nil
}

// FindByMark looks through the account's posts since a time for a caption that contains mark, the newest first. The list
// can lag behind a publication by some seconds.
func (c *Client) FindByMark(ctx context.Context, mark string, since time.Time) (mediaID string, found bool, err error) {
	if mark == "" {
		return "", false, nil
	}
	in := url.Values{"fields": {"id,caption,timestamp,permalink"}, "limit": {strconv.Itoa(pagePosts)}}
	for range mostPages {
		var posts page
		if err := c.ask(ctx, http.MethodGet, "/"+url.PathEscape(c.cfg.UserID)+"/media", in, &posts); err != nil {
			return "", false, fmt.Errorf("list posts: %w", err)
		}
		for _, m := range posts.Data {
			if strings.Contains(m.Caption, mark) {
				return m.ID, m.ID != "", nil
			}
		}
		if posts.last(since) {
			return "", false, nil
		}
		in.Set("after", posts.Paging.Cursors.After)
	}
	return "", false, nil
}

// last reports whether no page follows, or only ones with posts from before a time.
func (p page) last(since time.Time) bool {
	if p.Paging.Next == "" || p.Paging.Cursors.After == "" || len(p.Data) == 0 {
		return true
	}
	at, err := time.Parse(timeFormat, p.Data[len(p.Data)-1].Timestamp)
	return err == nil && at.Before(since.Add(-clockError))
}

// Permalink returns where people see a post. For some seconds after publishing it fails with a Retryable
// "instagram_object_unreadable".
func (c *Client) Permalink(ctx context.Context, mediaID string) (string, error) {
	var out media
	err := c.ask(ctx, http.MethodGet, "/"+url.PathEscape(mediaID), url.Values{"fields": {"id,permalink"}}, &out)
	if err == nil && out.Permalink == "" {
		err = fault.Retry(codeUnreadable, errors.New("answer without a permalink"))
	}
	if err != nil {
		return "", fmt.Errorf("read link of post %s: %w", mediaID, err)
	}
	return out.Permalink, nil
}

// ask is for calls that may be repeated.
func (c *Client) ask(ctx context.Context, method, path string, in url.Values, out any) error {
	got, err := c.call(ctx, method, path, in)
	if err != nil {
		return fault.Retry("instagram_unreachable", err)
	}
	if got.Status == http.StatusOK {
		return json.Unmarshal(got.Body, out)
	}
	problem, ok := parseProblem(got)
	if !ok || problem.vague() {
		return fault.Retry("instagram_unavailable", problem)
	}
	return c.refusal(problem, got.Header)
}
