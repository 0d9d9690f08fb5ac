package scraper

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"castad/internal/fault"
)

// Ref points to a place. Either PlaceID is set, or Short is and Resolve has to be asked.
type Ref struct {
	PlaceID string // Naver's decimal id, without prefix
	Type    string // the business type of the place's page: "accommodation"; "place" when not known
	Short   bool   // URL is a short link that holds no id
	URL     string // as given, https; "" for a bare id
}

const maxURLBytes = 4096

var (
	digits    = regexp.MustCompile(`^[0-9]{5,15}$`)
	firstLink = regexp.MustCompile(`(?i)(?:https?://|\b(?:naver\.me|[a-z.]+\.naver\.com)/)\S+`)
	// The business types that place pages have in their path; another one is read as "place",
	// from which Naver redirects to the right one.
	pageTypes = map[string]bool{
		"place": true, "accommodation": true, "restaurant": true, "cafe": true, "hairshop": true, "nailshop": true,
		"beauty": true, "hospital": true, "attraction": true, "trip": true, "motor": true,
	}
)

// ParseURL reads every form in which a place of Naver Map is passed on: the map's
// address bar, place pages, pins, short links, the text of the app's share button
// (which has a link in it), a bare id. It makes no request.
//
// Its errors are faults of kind Permanent: "not_a_place_url", "url_not_naver",
// "place_id_missing"; their text tells a person what to do.
func ParseURL(raw string) (Ref, error) {
	raw = strings.TrimSpace(raw)
	if digits.MatchString(raw) {
		return Ref{PlaceID: raw, Type: "place"}, nil
	}
	u, err := parseLink(raw)
	if err != nil {
		return Ref{}, err
	}
	if u.Hostname() == "naver.me" {
		return shortRef(u)
	}
	if ref, ok := refOf(u); ok {
		return ref, nil
	}
	return Ref{}, fault.Stop("place_id_missing", errors.New(
		"this Naver address shows a search or a map but no place: open the place itself and copy its address or its share link"))
}

func parseLink(raw string) (*url.URL, error) {
	link := firstLink.FindString(raw)
	if len(raw) > maxURLBytes || link == "" {
		return nil, fault.Stop("not_a_place_url", errors.New("give the address of a place on Naver Map, as its share button copies it"))
	}
	if !strings.Contains(link, "://") {
		link = "https://" + link
	}
	u, err := url.Parse(link)
	if err != nil || u.User != nil || u.Port() != "" {
		return nil, fault.Stop("not_a_place_url", errors.New("this address can't be read: copy it again from Naver Map's share button"))
	}
	u.Scheme, u.Host, u.Fragment = "https", strings.ToLower(u.Host), ""
	if !naverHost(u.Hostname()) {
		return nil, fault.Stop("url_not_naver", errors.New("only addresses of naver.me and naver.com can be read: find the place on Naver Map and copy its link"))
	}
	return u, nil
}

// naverHost is the allow-list that keeps users' links from leading anywhere else.
func naverHost(host string) bool {
	return host == "naver.me" || host == "naver.com" || strings.HasSuffix(host, ".naver.com")
}

func shortRef(u *url.URL) (Ref, error) {
	if strings.Trim(u.Path, "/") == "" {
		return Ref{}, fault.Stop("not_a_place_url", errors.New("this short link is cut off: copy it again from Naver Map's share button"))
	}
	return Ref{Type: "place", Short: true, URL: u.String()}, nil
}

// refOf finds the place's id in a URL's path or pin, whatever its host.
func refOf(u *url.URL) (Ref, bool) {
	ref := Ref{Type: "place", URL: u.String()}
	if id := u.Query().Get("pinId"); digits.MatchString(id) {
		ref.PlaceID = id
		return ref, true
	}
	segments := strings.Split(strings.Trim(u.Path, "/"), "/")
	for i := 0; i+1 < len(segments); i++ {
		if pageTypes[segments[i]] && digits.MatchString(segments[i+1]) {
			ref.Type, ref.PlaceID = segments[i], segments[i+1]
			return ref, true
		}
	}
	if strings.HasSuffix(u.Hostname(), "place.naver.com") && len(segments) > 1 && digits.MatchString(segments[1]) {
		ref.PlaceID = segments[1]
		return ref, true
	}
	return Ref{}, false
}
