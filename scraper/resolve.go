package scraper

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"castad/internal/fault"
)

// Resolve gives a short link's Ref its place id by following the link by hand: at most
// five hops, each on Naver's hosts, and no further than the first URL that holds an id.
// A Ref that has an id comes back as it is.
//
// Its errors are faults: "place_id_missing", "not_a_place_url" and "url_not_naver"
// (Permanent), "naver_blocked" (RateLimited), "naver_unreachable" and "naver_unavailable" (Retryable).
func (s *Scraper) Resolve(ctx context.Context, ref Ref) (Ref, error) {
	if ref.PlaceID != "" {
		return ref, nil
	}
	u, err := url.Parse(ref.URL)
	if err != nil || !naverHost(u.Hostname()) {
		return Ref{}, fault.Stop("url_not_naver", errors.New("only links of naver.me and naver.com can be followed"))
	}
	var found Ref
	a, err := s.follow(ctx, s.reroute(u), s.desktop(), func(hop *url.URL) bool {
		var ok bool
		found, ok = refOf(hop)
		return ok
	})
	if err != nil {
		return Ref{}, fmt.Errorf("resolve short link: %w", err)
	}
	if found.PlaceID != "" {
		found.URL = ref.URL
		return found, nil
	}
	if err := s.refusal(a); err != nil {
		return Ref{}, fmt.Errorf("resolve short link: %w", err)
	}
	return Ref{}, fault.Stop("place_id_missing", errors.New(
		"the link doesn't lead to a place (it may have expired): open the place on Naver Map and copy its link again"))
}
