package scraper

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"castad/internal/fault"
	"castad/providers"
)

// Candidate is a place that a search hit may mean.
type Candidate struct {
	PlaceID     string  `json:"place_id"`
	Title       string  `json:"title"`
	Address     string  `json:"address"`
	RoadAddress string  `json:"roadAddress"`
	Longitude   float64 `json:"longitude"`
	Latitude    float64 `json:"latitude"`
}

// AmbiguousError is the cause of a fault "place_ambiguous": a person has to choose.
type AmbiguousError struct {
	Title      string
	Candidates []Candidate // at most five
}

// Error names the candidates.
func (e *AmbiguousError) Error() string {
	names := make([]string, len(e.Candidates))
	for i, c := range e.Candidates {
		names[i] = fmt.Sprintf("%s (%s, id %s)", c.Title, c.RoadAddress, c.PlaceID)
	}
	return fmt.Sprintf("%q may mean several places, give the link of the right one: %s", e.Title, strings.Join(names, "; "))
}

// FindHit finds the place id of a search hit by Naver Map's completion search. Confidence
// is 1 for the one place with the hit's road address (up to the building's number) and
// title, 0.9 for title and less than about 100 m, 0.8 for the address with a title that
// is only alike. Nothing is guessed: two businesses may share a house.
//
// Its errors are faults: "place_ambiguous" (an *AmbiguousError) and "place_not_found"
// (Permanent), and the passing ones of Place.
func (s *Scraper) FindHit(ctx context.Context, hit providers.Hit) (placeID string, confidence float64, err error) {
	title := strings.Join(strings.Fields(clean(plain(value{v: hit.Title}, nameLimit), nameLimit)), " ")
	if title == "" {
		return "", 0, fault.Stop("query_unusable", errors.New("the hit has no title"))
	}
	var seen []Candidate
	for _, query := range hitQueries(title, hit) {
		found, err := s.instantSearch(ctx, query, hit)
		if err != nil {
			return "", 0, fmt.Errorf("find place of hit: %w", err)
		}
		if id, confidence := choose(title, hit, found); id != "" {
			return id, confidence, nil
		}
		seen = merge(seen, found)
	}
	if len(seen) == 0 {
		return "", 0, fault.Stop("place_not_found", fmt.Errorf("Naver Map completes %q to no place: give the place's link instead", title))
	}
	return "", 0, fault.Stop("place_ambiguous", &AmbiguousError{Title: title, Candidates: seen[:min(5, len(seen))]})
}

// hitQueries are the bare title, then title and town: the search completes words and finds nothing for whole addresses.
func hitQueries(title string, hit providers.Hit) []string {
	queries := []string{title}
	address := hit.RoadAddress
	if address == "" {
		address = hit.Address
	}
	if region, _ := Region(clean(address, addressLimit)); region != "" {
		words := strings.Fields(region)
		queries = append(queries, title+" "+words[len(words)-1])
	}
	return queries
}

// instantSearch asks for completions. Wire format: measured, not documented; it wants a
// Referer of the map and coordinates as latitude,longitude.
func (s *Scraper) instantSearch(ctx context.Context, query string, hit providers.Hit) ([]Candidate, error) {
	latitude, longitude := hit.Latitude, hit.Longitude
	if latitude == 0 || longitude == 0 {
		latitude, longitude = 37.5666, 126.9784 // Seoul's city hall: only where the search looks first
	}
	q := url.Values{"query": {query}, "coords": {fmt.Sprintf("%.7f,%.7f", latitude, longitude)}, "lang": {"ko"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.urls().Map+"/p/api/search/instant-search?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	browserHeader(req, s.desktop())
	req.Header.Set("Referer", naver.Map+"/")
	a, err := s.send(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.refusal(a); err != nil {
		return nil, err
	}
	root, err := decode(a.body)
	if err != nil || a.status != http.StatusOK {
		return nil, schemaChanged(fmt.Sprintf("the completion search answered %d in another form", a.status))
	}
	return candidatesOf(root), nil
}

func candidatesOf(root value) []Candidate {
	var out []Candidate
	for _, item := range root.field("place").list() {
		id := item.field("sid").text(20)
		if !digits.MatchString(id) {
			id = item.field("id").text(20)
		}
		if !digits.MatchString(id) || len(out) >= 20 {
			continue
		}
		c := Candidate{
			PlaceID: id, Title: plain(item.field("title"), nameLimit),
			Address: item.field("jibunAddress").text(addressLimit), RoadAddress: item.field("roadAddress").text(addressLimit),
		}
		c.Longitude, c.Latitude = coordinate(item.field("x"), item.field("y"))
		out = append(out, c)
	}
	return out
}

func merge(seen, found []Candidate) []Candidate {
	known := map[string]bool{}
	for _, c := range seen {
		known[c.PlaceID] = true
	}
	for _, c := range found {
		if !known[c.PlaceID] {
			seen = append(seen, c)
		}
	}
	return seen
}

// choose returns the one candidate that is surely meant, or "".
func choose(title string, hit providers.Hit, found []Candidate) (placeID string, confidence float64) {
	name := normalName(title)
	var here, hereToo, near []Candidate
	for _, c := range found {
		sameName := name == normalName(c.Title)
		switch {
		case sameAddress(hit, c) && sameName:
			hereToo = append(hereToo, c)
		case sameAddress(hit, c):
			here = append(here, c)
		case sameName && metres(hit, c) <= 100:
			near = append(near, c)
		}
	}
	switch {
	case len(hereToo) == 1:
		return hereToo[0].PlaceID, 1
	case len(hereToo) > 1:
		return "", 0
	case len(near) == 1:
		return near[0].PlaceID, 0.9
	case len(here) == 1 && len(near) == 0 && related(name, normalName(here[0].Title)):
		return here[0].PlaceID, 0.8
	}
	return "", 0
}

// related keeps two businesses of one building apart: one name has to hold the other, or begin like it.
func related(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	ra, rb := []rune(a), []rune(b)
	n := min(2, len(ra), len(rb))
	return strings.Contains(a, b) || strings.Contains(b, a) || string(ra[:n]) == string(rb[:n])
}

// normalName folds case and drops spaces, punctuation and the suffix of a branch.
func normalName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
	for _, suffix := range []string{"본점", "지점", "점"} {
		if cut, ok := strings.CutSuffix(name, suffix); ok && len([]rune(cut)) >= 2 {
			return cut
		}
	}
	return name
}

// building ends an address with its number: floors and units behind it vary between sources.
var building = regexp.MustCompile(`^(.*(?:로|길|대로)\s*\d+(?:번?길)?(?:\s*\d+)?(?:-\d+)?)(?:[\s,(].*)?$`)

func normalAddress(address string) string {
	region, rest := Region(address)
	if m := building.FindStringSubmatch(rest); m != nil {
		rest = m[1]
	}
	return strings.ReplaceAll(region+rest, " ", "")
}

func sameAddress(hit providers.Hit, c Candidate) bool {
	if hit.RoadAddress != "" && c.RoadAddress != "" {
		return normalAddress(hit.RoadAddress) == normalAddress(c.RoadAddress)
	}
	return hit.Address != "" && normalAddress(hit.Address) == normalAddress(c.Address)
}

// metres is the distance between a hit and a candidate on a plane that is good enough for
// some hundred metres; infinite when either has no coordinates.
func metres(hit providers.Hit, c Candidate) float64 {
	if hit.Latitude == 0 || hit.Longitude == 0 || c.Latitude == 0 || c.Longitude == 0 {
		return math.Inf(1)
	}
	const degree = 111_320
	dy := (hit.Latitude - c.Latitude) * degree
	dx := (hit.Longitude - c.Longitude) * degree * math.Cos(hit.Latitude*math.Pi/180)
	return math.Hypot(dx, dy)
}
