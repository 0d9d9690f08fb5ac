package scraper

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"castad/internal/fault"
	"castad/providers"
)

// SearchKey is a credential of Naver's official search with the form of the API it is for.
// Make one with DevelopersKey or HubKey.
type SearchKey struct {
	Base         string `json:"base"`
	Path         string `json:"path"`
	IDHeader     string `json:"id_header"`
	SecretHeader string `json:"secret_header"`
	ID           string `json:"-"`
	Secret       string `json:"-"`
}

// DevelopersKey is a key of the developers centre (25,000 calls a day).
func DevelopersKey(id, secret string) SearchKey {
	return SearchKey{
		Base: "https://openapi.naver.com", Path: "/v1/search/local.json",
		IDHeader: "X-Naver-Client-Id", SecretHeader: "X-Naver-Client-Secret", ID: id, Secret: secret,
	}
}

// HubKey is a key of NAVER API HUB, which replaces the developers centre.
func HubKey(id, secret string) SearchKey {
	return SearchKey{
		Base: "https://naverapihub.apigw.ntruss.com", Path: "/search/v1/local",
		IDHeader: "X-NCP-APIGW-API-KEY-ID", SecretHeader: "X-NCP-APIGW-API-KEY", ID: id, Secret: secret,
	}
}

// String keeps the secret out of logs.
func (k SearchKey) String() string { return k.Base + k.Path + " [redacted]" }

// GoString keeps the secret out of logs.
func (k SearchKey) GoString() string { return k.String() }

const maxQuery = 100 // characters

var markup = regexp.MustCompile(`</?[a-zA-Z][^<>]{0,80}>`)

// SearchLocal asks Naver's local search for at most five places. The hits hold no place id: FindHit looks for it.
//
// Its errors are faults: "query_unusable", "naver_search_key_refused" and "naver_search_refused"
// (Permanent), "naver_search_limited" (RateLimited: for a second, or until the day is over in Seoul),
// "naver_unreachable" and "naver_unavailable" (Retryable).
// Wire format: the developers centre's page on local search.
func (s *Scraper) SearchLocal(ctx context.Context, query string) ([]providers.Hit, error) {
	query = strings.Join(strings.Fields(clean(query, maxQuery+1)), " ")
	if query == "" || len([]rune(query)) > maxQuery {
		return nil, fault.Stop("query_unusable", fmt.Errorf("search for 1 to %d characters", maxQuery))
	}
	if s.Key.ID == "" || s.Key.Secret == "" {
		return nil, fault.Stop("naver_search_key_refused", errors.New("no key for Naver's search is set"))
	}
	req, err := s.localRequest(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("search places: %w", err)
	}
	a, err := s.send(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("search places: %w", err)
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("search places: %w", s.searchRefusal(a))
	}
	root, err := decode(a.body)
	if err != nil {
		return nil, fmt.Errorf("search places: %w", schemaChanged("the local search answered without JSON"))
	}
	return hitsOf(root), nil
}

func (s *Scraper) localRequest(ctx context.Context, query string) (*http.Request, error) {
	q := url.Values{"query": {query}, "display": {"5"}, "start": {"1"}, "sort": {"random"}}
	if strings.HasPrefix(s.Key.Path, "/search/") {
		q.Set("format", "json") // the hub's form
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.urls().Search+s.Key.Path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(s.Key.IDHeader, s.Key.ID)
	req.Header.Set(s.Key.SecretHeader, s.Key.Secret)
	req.Header.Set("Accept", "application/json")
	return req, nil
}

func hitsOf(root value) []providers.Hit {
	hits := []providers.Hit{}
	for _, item := range root.field("items").list() {
		hit := providers.Hit{
			Title:       plain(item.field("title"), nameLimit),
			Category:    plain(item.field("category"), wordLimit),
			Address:     plain(item.field("address"), addressLimit),
			RoadAddress: plain(item.field("roadAddress"), addressLimit),
		}
		hit.Longitude, hit.Latitude = scaled(item.field("mapx").number(), item.field("mapy").number())
		if hit.Title != "" {
			hits = append(hits, hit)
		}
	}
	return hits
}

// plain takes the markup out first and unescapes then: an escaped "<" is text.
func plain(v value, limit int) string {
	return clean(html.UnescapeString(markup.ReplaceAllString(v.text(4*limit), "")), limit)
}

// scaled turns integers of 10^-7 degrees into degrees.
func scaled(x, y float64) (longitude, latitude float64) {
	longitude, latitude = x/1e7, y/1e7
	if longitude < -180 || longitude > 180 || latitude < -90 || latitude > 90 {
		return 0, 0
	}
	return longitude, latitude
}

// searchRefusal reads both forms of the search's error body.
func (s *Scraper) searchRefusal(a answer) error {
	root, _ := decode(a.body)
	gateway := root.field("error")
	code := root.field("errorCode").text(20) + gateway.field("errorCode").text(20)
	message := root.field("errorMessage").text(200) + gateway.field("message").text(200)
	err := fmt.Errorf("Naver's search answered %d, code %q: %q", a.status, code, message)
	switch {
	case a.status == http.StatusTooManyRequests:
		return fault.Wait(s.searchAgain(a.header, code, message), "naver_search_limited", err)
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return fault.Stop("naver_search_key_refused", err)
	case a.status >= 500:
		return fault.Retry("naver_unavailable", err)
	}
	return fault.Stop("naver_search_refused", err)
}

// searchAgain tells the daily quota, which is filled up at midnight in Seoul, from the limit per second.
func (s *Scraper) searchAgain(h http.Header, code, message string) time.Time {
	lower := strings.ToLower(message)
	if strings.Contains(lower, "quota") || strings.Contains(message, "한도") || code == "010" && !strings.Contains(lower, "rate") {
		day := s.now().In(time.FixedZone("KST", 9*60*60)).AddDate(0, 0, 1)
		return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, day.Location())
	}
	return s.until(h, time.Second)
}
