// Package youtube uploads videos by the YouTube Data API's resumable protocol, spoken by hand.
//
// A video comes into being only with the last byte of a session, and a finished session still answers with
// it. So the caller stores the session's address before the first byte, and Send may be called any number
// of times, by any process. Start with New.
package youtube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/wire"
)

const chunkUnit = 256 << 10 // bytes; every chunk but the last is a multiple

// Config says where the API is and for which channel we act.
type Config struct {
	APIURL       string           // "" means https://www.googleapis.com
	TokenURL     string           // "" means https://oauth2.googleapis.com/token
	WatchURL     string           // "" means https://www.youtube.com
	ClientID     string           // of our application
	ClientSecret string           // never logged
	RefreshToken string           // of the channel's owner; never logged
	CategoryID   string           // "" means "19", Travel & Events
	ChunkBytes   int64            // rounded down to 256 KiB; 0 means 8 MiB
	Timeout      time.Duration    // of one call without a file; 0 means 30 s
	ChunkTimeout time.Duration    // of sending one chunk; 0 means 5 minutes
	Tries        int              // of Send without progress; 0 means 5
	Pause        time.Duration    // after the first such try, doubling; 0 means 1 s
	Now          func() time.Time // nil means time.Now
}

// Client serves one channel and is safe for concurrent use.
type Client struct {
	cfg    Config
	calls  *wire.Caller
	chunks *wire.Caller // have longer; a connection for each costs little next to 8 MiB
	tokens *tokens
}

// New fills the defaults of cfg. It makes no call.
func New(cfg Config) *Client {
	cfg.APIURL = strings.TrimRight(orElse(cfg.APIURL, "https://www.googleapis.com"), "/")
	cfg.TokenURL = orElse(cfg.TokenURL, "https://oauth2.googleapis.com/token")
	cfg.WatchURL = strings.TrimRight(orElse(cfg.WatchURL, "https://www.youtube.com"), "/")
	cfg.CategoryID = orElse(cfg.CategoryID, "19")
	cfg.ChunkBytes = max(chunkUnit, orElse(cfg.ChunkBytes, 8<<20)/chunkUnit*chunkUnit)
	cfg.Timeout = orElse(cfg.Timeout, 30*time.Second)
	cfg.ChunkTimeout = orElse(cfg.ChunkTimeout, 5*time.Minute)
	cfg.Tries = orElse(cfg.Tries, 5)
	cfg.Pause = orElse(cfg.Pause, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	calls := wire.New(wire.Limits{Time: cfg.Timeout, Bytes: maxAnswerBytes})
	return &Client{cfg: cfg, calls: calls, chunks: wire.New(wire.Limits{Time: cfg.ChunkTimeout, Bytes: maxAnswerBytes}),
		tokens: newTokens(cfg, calls)}
}

func orElse[T comparable](given, otherwise T) T {
	var zero T
	if given == zero {
		return otherwise
	}
	return given
}

// StartSession announces a file of size bytes and returns the address to send it to, which is a secret: who
// has it can finish the upload. Nothing exists on the channel yet, so a second call is harmless, but
// it takes one of the project's daily uploads. Texts are cut to YouTube's limits.
func (c *Client) StartSession(ctx context.Context, post providers.Post, size int64, contentType string) (string, error) {
	body, err := json.Marshal(c.resource(post))
	if err != nil {
		return "", fmt.Errorf("start upload: %w", err)
	}
	got, err := c.call(ctx, request{method: http.MethodPost,
		url:  c.cfg.APIURL + "/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status&notifySubscribers=false",
		body: body, header: map[string]string{"Content-Type": "application/json; charset=UTF-8",
			"X-Upload-Content-Type": contentType, "X-Upload-Content-Length": strconv.FormatInt(size, 10)}})
	if err != nil {
		return "", fmt.Errorf("start upload: %w", err)
	}
	if got.Status != http.StatusOK {
		return "", fmt.Errorf("start upload: %w", c.refusal(got))
	}
	session := got.Header.Get("Location")
	if err := c.ours(session); err != nil {
		return "", fmt.Errorf("start upload: %w", err)
	}
	return session, nil
}

// ours refuses to send the access token elsewhere than to the configured host or Google's.
func (c *Client) ours(session string) error {
	at, err := url.Parse(session)
	home, _ := url.Parse(c.cfg.APIURL)
	if err != nil || home == nil || at.Host == "" {
		return errors.New("session has no usable address")
	}
	google := at.Scheme == "https" && strings.HasSuffix(at.Host, ".googleapis.com")
	if !google && (at.Host != home.Host || at.Scheme != home.Scheme) {
		return fault.Stop("youtube_session_foreign", fmt.Errorf("session on host %s", at.Host))
	}
	return nil
}

// Find looks through the channel's newest 150 uploads for the line that Post.Mark left in the description.
// The list can lag behind an upload by minutes.
func (c *Client) Find(ctx context.Context, mark string) (providers.Published, bool, error) {
	if mark == "" {
		return providers.Published{}, false, nil
	}
	list, err := c.uploadsList(ctx)
	if err != nil {
		return providers.Published{}, false, fmt.Errorf("find upload: %w", err)
	}
	page := ""
	for range 3 {
		var out playlistPage
		query := url.Values{"part": {"snippet,contentDetails"}, "playlistId": {list}, "maxResults": {"50"}}
		if page != "" {
			query.Set("pageToken", page)
		}
		if err := c.read(ctx, "/youtube/v3/playlistItems", query, &out); err != nil {
			return providers.Published{}, false, fmt.Errorf("find upload: %w", err)
		}
		if id, ok := out.find(mark); ok {
			return c.published(id), true, nil
		}
		if page = out.NextPageToken; page == "" {
			break
		}
	}
	return providers.Published{}, false, nil
}

type playlistPage struct {
	NextPageToken string `json:"nextPageToken"`
	Items         []struct {
		Snippet struct {
			Description string `json:"description"`
		} `json:"snippet"`
		ContentDetails struct {
			VideoID string `json:"videoId"`
		} `json:"contentDetails"`
	} `json:"items"`
}

func (p playlistPage) find(mark string) (string, bool) {
	for _, item := range p.Items {
		for line := range strings.Lines(item.Snippet.Description) {
			if strings.TrimSpace(line) == markLine(mark) && item.ContentDetails.VideoID != "" {
				return item.ContentDetails.VideoID, true
			}
		}
	}
	return "", false
}

func (c *Client) uploadsList(ctx context.Context) (string, error) {
	var out struct {
		Items []struct {
			ContentDetails struct {
				RelatedPlaylists struct {
					Uploads string `json:"uploads"`
				} `json:"relatedPlaylists"`
			} `json:"contentDetails"`
		} `json:"items"`
	}
	err := c.read(ctx, "/youtube/v3/channels", url.Values{"part": {"contentDetails"}, "mine": {"true"}}, &out)
	if err != nil {
		return "", err
	}
	if len(out.Items) == 0 || out.Items[0].ContentDetails.RelatedPlaylists.Uploads == "" {
		return "", fault.Stop("youtube_no_channel", errors.New("account has no channel"))
	}
	return out.Items[0].ContentDetails.RelatedPlaylists.Uploads, nil
}

func (c *Client) read(ctx context.Context, path string, query url.Values, out any) error {
	got, err := c.call(ctx, request{method: http.MethodGet, url: c.cfg.APIURL + path + "?" + query.Encode()})
	if err != nil {
		return err
	}
	if got.Status != http.StatusOK {
		return c.refusal(got)
	}
	return json.Unmarshal(got.Body, out)
}

func (c *Client) published(id string) providers.Published {
	return providers.Published{ID: id, URL: c.cfg.WatchURL + "/watch?v=" + url.QueryEscape(id)}
}

const maxAnswerBytes = 4 << 20

type request struct {
	method, url string
	header      map[string]string
	body        []byte
	file        io.Reader // instead of body: bytes of a file
	bytes       int64     // of file
}

type answer struct{ wire.Answer }

// call makes one request with a valid access token. A 401 is answered once by refreshing it and
// asking again, but for parts of a file, which can't be read twice.
func (c *Client) call(ctx context.Context, r request) (answer, error) {
	got, err := c.once(ctx, r)
	if err == nil && got.Status == http.StatusUnauthorized {
		c.tokens.forget()
		if r.file == nil {
			return c.once(ctx, r)
		}
	}
	return got, err
}

func (c *Client) once(ctx context.Context, r request) (answer, error) {
	token, err := c.tokens.access(ctx)
	if err != nil {
		return answer{}, err
	}
	caller, body := c.calls, io.Reader(bytes.NewReader(r.body))
	if r.file != nil {
		caller, body = c.chunks, r.file
	}
	req, err := wire.NewRequest(ctx, r.method, r.url, body)
	if err != nil {
		return answer{}, err
	}
	if r.file != nil {
		req.ContentLength = r.bytes
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	got, err := caller.Call(req)
	return answer{got}, err
}
