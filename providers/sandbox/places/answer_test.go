package places_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"castad/providers/sandbox/places"
)

func answer(t *testing.T, schema string, facts map[string]string) string {
	t.Helper()
	object, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := places.Answer(schema, object)
	if err != nil {
		t.Fatalf("%s of %v: %v", schema, facts, err)
	}
	if !json.Valid(doc) {
		t.Fatalf("%s of %v is no JSON: %s", schema, facts, doc)
	}
	return string(doc)
}

func TestAnswer_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ schema, facts, want string }{
		{"lyric", `{"language":"Korean"}`, "no name"},
		{"lyric", `{"name":" ","language":"Korean"}`, "no name"},
		{"lyric", `{"name":"숲속하루펜션"}`, "no language"},
		{"lyric", `{"name":"숲속하루펜션","language":"../any/lyric"}`, `"../any/lyric"`},
		{"poem", `{"name":"숲속하루펜션","language":"Korean"}`, "poem"},
		{"lyric", `[]`, "read facts"},
		{"lyric", ``, "read facts"},
	} {
		if doc, err := places.Answer(c.schema, json.RawMessage(c.facts)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %s: %s, %v", c.schema, c.facts, doc, err)
		}
	}
}

// A place that is known has its own texts, however its name is spaced.
func TestAnswer_KnownPlace(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"marketing", "lyric", "youtube"} {
		own := answer(t, schema, map[string]string{"name": "숲속 하루 펜션", "region": "경기 가평군", "language": "Korean"})
		if strings.Contains(own, "{{") {
			t.Errorf("%s has a gap that nothing was put in: %s", schema, own)
		}
		other := answer(t, schema, map[string]string{"name": "모르는펜션", "region": "경기 가평군", "language": "Korean"})
		if own == other || !strings.Contains(own, "숲속하루펜션") {
			t.Errorf("%s of a known place is the one of any", schema)
		}
	}
}

func TestAnswer_PutsNameAndTownIn(t *testing.T) {
	t.Parallel()
	facts := map[string]string{"name": "솔바람스테이", "region": "강원특별자치도 강릉시", "language": "Korean"}
	for _, schema := range []string{"marketing", "lyric", "youtube"} {
		doc := answer(t, schema, facts)
		if !strings.Contains(doc, "솔바람스테이") || !strings.Contains(doc, "강릉") || strings.Contains(doc, "{{") {
			t.Errorf("%s doesn't name what it's about: %s", schema, doc)
		}
		if again := answer(t, schema, facts); again != doc {
			t.Errorf("%s isn't the same twice", schema)
		}
	}
}

// A name is data: whatever it holds, the document's shape stays.
func TestAnswer_HostileName(t *testing.T) {
	t.Parallel()
	plain := shape(t, answer(t, "youtube", map[string]string{"name": "솔바람", "region": "강릉시", "language": "Korean"}))
	for _, name := range []string{`"],"title":"x`, "줄\n바꿈\u0000 펜션", "{{region}}", `\u0022`, "바다 (본점)", strings.Repeat("긴이름", 60), "()"} {
		facts := map[string]string{"name": name, "region": "강릉시", "language": "Korean"}
		doc := answer(t, "youtube", facts)
		if got := shape(t, doc); got != plain {
			t.Errorf("%q changed the shape to %s", name, got)
		}
		var report struct {
			Keywords []string `json:"target_keywords"`
		}
		if err := json.Unmarshal([]byte(answer(t, "marketing", facts)), &report); err != nil {
			t.Fatal(err)
		}
		for i, tag := range report.Keywords {
			if strings.ContainsAny(tag, " \n") || slices.Contains(report.Keywords[:i], tag) {
				t.Errorf("%q made the hashtag %q", name, tag)
			}
		}
	}
}

// shape is a document's keys and the kinds of their values.
func shape(t *testing.T, doc string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(doc), &fields); err != nil {
		t.Fatal(err)
	}
	var list []string
	for key, val := range fields {
		list = append(list, fmt.Sprintf("%s %T", key, val))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// Names are told apart by more than what is put in: both variants of a song are used.
func TestAnswer_VariantsByName(t *testing.T) {
	t.Parallel()
	songs := map[string]bool{}
	for i := range 16 {
		name := fmt.Sprintf("별빛%c스테이", rune('가'+i*28))
		doc := answer(t, "lyric", map[string]string{"name": name, "region": "경북 경주시", "language": "Korean"})
		songs[strings.ReplaceAll(doc, name, "")] = true
	}
	if len(songs) != 2 {
		t.Errorf("16 names got %d songs, there are 2", len(songs))
	}
}
