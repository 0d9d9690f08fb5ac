package scraper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"castad/internal/fault"
	"castad/providers"
)

// Bounds on what is taken over from a page.
const (
	maxPhotos      = 30
	maxURLText     = 2048
	nameLimit      = 120 // characters
	addressLimit   = 200
	wordLimit      = 60
	descriptionMax = 4000
	wordsMax       = 40
)

// Place reads a place. It asks the GraphQL endpoint, and where that has changed its schema
// or is down, the place's page. typ is the business type as Ref has it; "" stands for "place".
//
// The name is always there; all else may be missing. Photos are at most 30, the owner's
// before the visitors', each once; they may be animated or gone.
//
// Its errors are faults: "place_not_found" and "naver_schema_changed" (Permanent),
// "naver_blocked" (RateLimited, for minutes), "naver_unreachable" and "naver_unavailable" (Retryable).
// Everything is a read and may be repeated, slowly.
func (s *Scraper) Place(ctx context.Context, placeID, typ string) (providers.Place, error) {
	if !digits.MatchString(placeID) {
		return providers.Place{}, fault.Stop("not_a_place_url", fmt.Errorf("a place id is a number, not %q", clean(placeID, 40)))
	}
	if !pageTypes[typ] {
		typ = "place"
	}
	place, err := s.placeFromGraphQL(ctx, placeID, typ)
	if err == nil || !pageMayHelp(err) {
		return place, err
	}
	place, pageErr := s.placeFromPage(ctx, placeID, typ)
	if pageErr == nil {
		return place, nil
	}
	if fault.Of(err).Kind == fault.Retryable && fault.Of(pageErr).Code == "naver_schema_changed" {
		return providers.Place{}, fmt.Errorf("%w (and then: %w)", err, pageErr)
	}
	return providers.Place{}, fmt.Errorf("%w (after: %s)", pageErr, err.Error())
}

// pageMayHelp is false for a block, which another request would only lengthen, and for a place that isn't there.
func pageMayHelp(err error) bool {
	switch fault.Of(err).Code {
	case "naver_schema_changed", "naver_unavailable":
		return true
	}
	return false
}

// placeOf reads a PlaceDetail, from GraphQL or from a page's cache. A detail without base is no place.
func placeOf(id string, detail value) (providers.Place, error) {
	base := detail.field("base")
	if !base.present() {
		return providers.Place{}, notFound(id)
	}
	name := base.field("name").text(nameLimit)
	if name == "" {
		return providers.Place{}, schemaChanged("the place has no name: " + id)
	}
	p := providers.Place{
		ID:          "nv" + id,
		Name:        name,
		Category:    base.field("category").text(wordLimit),
		Address:     base.field("address").text(addressLimit),
		RoadAddress: base.field("roadAddress").text(addressLimit),
		Phone:       cmp.Or(base.field("phone").text(wordLimit), base.field("virtualPhone").text(wordLimit)),
		Description: description(detail, base),
		Facilities:  facilities(detail, base),
		Keywords:    keywords(detail),
		Photos:      photos(detail),
	}
	p.Longitude, p.Latitude = coordinate(base.field("coordinate").field("x"), base.field("coordinate").field("y"))
	p.Region, p.Detail = Region(cmp.Or(p.RoadAddress, p.Address))
	return p, nil
}

func description(detail, base value) string {
	if text := detail.field("description").text(descriptionMax); text != "" {
		return text
	}
	return clean(strings.Join(base.field("microReviews").texts(200, 10), "\n"), descriptionMax)
}

func facilities(detail, base value) []string {
	var out []string
	for _, f := range detail.field("informationTab").field("facilities").list() {
		out = appendNew(out, f.field("name").text(wordLimit), wordsMax)
	}
	for _, name := range base.field("conveniences").texts(wordLimit, wordsMax) {
		out = appendNew(out, name, wordsMax)
	}
	return out
}

func keywords(detail value) []string {
	out := detail.field("informationTab").field("keywordList").texts(wordLimit, wordsMax)
	for _, theme := range detail.field("themes").texts(wordLimit, wordsMax) {
		out = appendNew(out, theme, wordsMax)
	}
	return out
}

// coordinate returns WGS84 degrees, or zeros for anything that isn't on the globe.
func coordinate(x, y value) (longitude, latitude float64) {
	longitude, latitude = x.number(), y.number()
	if longitude < -180 || longitude > 180 || latitude < -90 || latitude > 90 {
		return 0, 0
	}
	return longitude, latitude
}

// photos collects the owner's pictures, then the visitors'. Blog pictures are left out: they belong to others.
func photos(detail value) []providers.Photo {
	var owners, visitors []providers.Photo
	for _, name := range []string{"images", "cpImages"} {
		for _, image := range detail.field(name).field("images").list() {
			photo := photoOf(image)
			if name == "cpImages" || strings.HasPrefix(photo.URL, "https://pup-review") {
				visitors = append(visitors, photo)
			} else {
				owners = append(owners, photo)
			}
		}
	}
	for _, address := range detail.field("paiUpperImage").field("images").list() {
		visitors = append(visitors, providers.Photo{URL: pictureURL(address.text(maxURLText))})
	}
	return distinct(append(owners, visitors...))
}

func photoOf(image value) providers.Photo {
	return providers.Photo{
		URL:    pictureURL(cmp.Or(image.field("origin").text(maxURLText), image.field("url").text(maxURLText))),
		Width:  int(min(max(image.field("width").number(), 0), 1e6)),
		Height: int(min(max(image.field("height").number(), 0), 1e6)),
	}
}

// pictureURL returns the address of the picture itself, out of the resizer's where it is
// wrapped in one, or "" for what isn't a web address.
func pictureURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	if src := u.Query().Get("src"); u.Hostname() == "search.pstatic.net" && src != "" {
		if inner, err := url.Parse(src); err != nil || inner.Hostname() != "search.pstatic.net" {
			return pictureURL(src)
		}
	}
	if strings.HasSuffix(u.Hostname(), ".pstatic.net") {
		u.Scheme = "https"
	}
	return u.String()
}

func distinct(all []providers.Photo) []providers.Photo {
	var out []providers.Photo
	seen := map[string]bool{"": true}
	for _, p := range all {
		if !seen[p.URL] && len(out) < maxPhotos {
			seen[p.URL] = true
			out = append(out, p)
		}
	}
	return out
}

var errNotJSON = errors.New("the answer is no JSON")
