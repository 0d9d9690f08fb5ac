package scraper

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"castad/providers"
)

func (s *Scraper) placeFromPage(ctx context.Context, id, typ string) (providers.Place, error) {
	u, err := url.Parse(fmt.Sprintf("%s/%s/%s/home", s.urls().Page, typ, id))
	if err != nil {
		return providers.Place{}, fmt.Errorf("page address: %w", err)
	}
	place, err := s.readPageAt(ctx, id, u)
	if err != nil {
		return providers.Place{}, fmt.Errorf("read page of place %s: %w", id, err)
	}
	return place, nil
}

func (s *Scraper) readPageAt(ctx context.Context, id string, u *url.URL) (providers.Place, error) {
	agent := s.desktop()
	if strings.HasPrefix(u.Hostname(), "m.") {
		agent = s.mobile()
	}
	a, err := s.follow(ctx, u, agent, func(*url.URL) bool { return false })
	if err != nil {
		return providers.Place{}, err
	}
	if err := s.refusal(a); err != nil {
		return providers.Place{}, err
	}
	if a.status == http.StatusNotFound || a.status == http.StatusGone {
		return providers.Place{}, notFound(id)
	}
	return readPage(id, a.body)
}

// readPage takes a place out of a page's window.__APOLLO_STATE__.
func readPage(id string, page []byte) (providers.Place, error) {
	_, script, ok := bytes.Cut(page, []byte("__APOLLO_STATE__"))
	start := bytes.IndexByte(script, '{')
	if !ok || start < 0 {
		return providers.Place{}, schemaChanged("the place page has no __APOLLO_STATE__")
	}
	// The script goes on behind the value, and its strings may hold "};": only a JSON decoder knows the end.
	state, err := decode(script[start:])
	if err != nil {
		return providers.Place{}, schemaChanged("the place page's __APOLLO_STATE__ is no JSON")
	}
	return placeOfState(id, state)
}

// placeOfState reads an Apollo cache. Where the query's own entry is gone, the place's base alone still makes a place.
func placeOfState(id string, state value) (providers.Place, error) {
	cache, ok := state.v.(map[string]any)
	if !ok {
		return providers.Place{}, schemaChanged("the place page's __APOLLO_STATE__ is no object")
	}
	state.cache = cache
	base := detailBase(id, state)
	detail := map[string]any{}
	if m, ok := placeDetail(id, state.field("ROOT_QUERY")).v.(map[string]any); ok {
		detail = m
	}
	if found := (value{v: detail, cache: cache}).field("base"); !found.field("name").present() {
		detail["base"] = base.v
	}
	return placeOf(id, value{v: detail, cache: cache})
}

// detailBase finds PlaceDetailBase:{id}, or whatever else a type's page may call it.
func detailBase(id string, state value) value {
	if base := state.field("PlaceDetailBase:" + id); base.present() {
		return base
	}
	for key := range state.cache {
		if strings.HasSuffix(key, "DetailBase:"+id) {
			return state.field(key)
		}
	}
	return value{}
}

// placeDetail finds the query's entry by the id among its arguments.
func placeDetail(id string, root value) value {
	m, _ := root.v.(map[string]any)
	for key := range m {
		if strings.HasPrefix(key, "placeDetail(") && strings.Contains(key, `"`+id+`"`) {
			return root.field(key)
		}
	}
	return value{}
}
