// Package scraper turns what a person gives for a place on Naver Map (a URL, an id, a
// hit of the place search) into a providers.Place.
//
// The place pages and their GraphQL endpoint have no contract: every field may be
// missing or of another type tomorrow, and a busy crawler is locked out. So each field
// is read on its own, a block is told from a failure, and the page stands in where the
// endpoint's schema has changed. The package crawls nothing but the one place it is
// asked for and downloads no pictures.
//
// Start with ParseURL, then Scraper.Resolve and Scraper.Place.
package scraper

import (
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Scraper reads places and searches for them. Fill in the fields before first use;
// zero fields get their defaults. It is safe for concurrent use and must not be copied.
type Scraper struct {
	HTTP     *http.Client  // nil: http.DefaultClient; its redirect policy isn't used
	URLs     BaseURLs      // "" fields: Naver itself
	Agents   Agents        // "" fields: a current desktop and mobile browser
	Key      SearchKey     // for SearchLocal only
	Interval time.Duration // least time between two requests of this Scraper; 0 for none
	Timeout  time.Duration // of one request; 0: 15 s
	Now      func() time.Time

	mu   sync.Mutex
	next time.Time // when the next request may leave
}

// BaseURLs are the addresses of Naver's faces, without a trailing slash. Links to the
// real hosts that Naver answers with are sent to these instead, so that a sandbox sees all of it.
type BaseURLs struct {
	GraphQL string // the endpoint itself: "https://pcmap-api.place.naver.com/graphql"
	Page    string // "https://pcmap.place.naver.com"; {type}/{id}/home is added
	Short   string // "https://naver.me"; the link's code is added
	Map     string // "https://map.naver.com"; p/api/search/instant-search is added
	Search  string // "": SearchKey.Base; SearchKey.Path is added
}

// Agents are the user agents that requests carry. Naver blocks a desktop one on its
// mobile pages at once and the other way round.
type Agents struct{ Desktop, Mobile string }

var naver = BaseURLs{
	GraphQL: "https://pcmap-api.place.naver.com/graphql",
	Page:    "https://pcmap.place.naver.com",
	Short:   "https://naver.me",
	Map:     "https://map.naver.com",
}

const (
	desktopAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
	mobileAgent  = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36"
)

// urls returns the addresses with defaults filled in.
func (s *Scraper) urls() BaseURLs {
	return BaseURLs{
		GraphQL: base(s.URLs.GraphQL, naver.GraphQL),
		Page:    base(s.URLs.Page, naver.Page),
		Short:   base(s.URLs.Short, naver.Short),
		Map:     base(s.URLs.Map, naver.Map),
		Search:  base(s.URLs.Search, s.Key.Base),
	}
}

func base(given, standard string) string {
	return strings.TrimSuffix(cmp.Or(given, standard), "/")
}

func (s *Scraper) desktop() string { return cmp.Or(s.Agents.Desktop, desktopAgent) }

func (s *Scraper) mobile() string { return cmp.Or(s.Agents.Mobile, mobileAgent) }

func (s *Scraper) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
