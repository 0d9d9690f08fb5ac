package scraper

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"castad/providers"
)

// placeQuery selects what a Place needs and nothing more: each field more is one more
// that the endpoint may drop, and one unknown field fails the whole query.
const placeQuery = `query getAccommodation($id: String!, $deviceType: String) {
  business: placeDetail(input: {id: $id, isNx: false, deviceType: $deviceType}) {
    base {
      id name category roadAddress address phone virtualPhone conveniences microReviews
      coordinate { x y }
    }
    images { images { origin url width height source } }
    cpImages(source: [ugcImage]) { images { origin url } }
    description
    themes
    informationTab { facilities { id name } keywordList }
  }
}`

func (s *Scraper) placeFromGraphQL(ctx context.Context, id, typ string) (providers.Place, error) {
	a, err := s.askGraphQL(ctx, id, typ)
	if err != nil {
		return providers.Place{}, fmt.Errorf("query place %s: %w", id, err)
	}
	if err := s.refusal(a); err != nil {
		return providers.Place{}, fmt.Errorf("query place %s: %w", id, err)
	}
	place, err := readGraphQL(id, a)
	if err != nil {
		return providers.Place{}, fmt.Errorf("query place %s: %w", id, err)
	}
	return place, nil
}

func (s *Scraper) askGraphQL(ctx context.Context, id, typ string) (answer, error) {
	body, err := json.Marshal(map[string]any{
		"operationName": "getAccommodation",
		"variables":     map[string]string{"id": id, "deviceType": "pc"},
		"query":         placeQuery,
	})
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.urls().GraphQL, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	browserHeader(req, s.desktop())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Origin", naver.Page)
	req.Header.Set("Referer", fmt.Sprintf("%s/%s/%s/home", naver.Page, typ, id))
	return s.send(ctx, req)
}

// readGraphQL takes a place from an answer even when some of its fields failed; only an
// answer without data and with errors tells of a changed schema.
func readGraphQL(id string, a answer) (providers.Place, error) {
	root, err := decode(a.body)
	if err != nil {
		return providers.Place{}, schemaChanged(fmt.Sprintf("the place endpoint answered %d without JSON", a.status))
	}
	if items := root.list(); len(items) > 0 {
		root = items[0]
	}
	object, _ := root.v.(map[string]any)
	detail := root.field("data").field("business")
	if failed := root.field("errors").list(); len(failed) > 0 && !detail.field("base").present() {
		return providers.Place{}, schemaChanged(fmt.Sprintf("the place endpoint refused the query: %q", failed[0].field("message").text(200)))
	}
	if _, ok := object["data"]; !ok {
		return providers.Place{}, schemaChanged(fmt.Sprintf("the place endpoint answered %d without data", a.status))
	}
	return placeOf(id, detail)
}

// decode reads the first JSON value of a text; what follows it is ignored.
func decode(text []byte) (value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return value{}, err
	}
	switch v.(type) {
	case map[string]any, []any:
		return value{v: v}, nil
	}
	return value{}, errNotJSON
}
