package main

import (
	"encoding/json"
	"testing"

	"castad/prompts"
	"castad/providers"
	"castad/providers/sandbox/places"
	"castad/scraper"
)

// subjects are the places that have texts of their own, and some that don't.
func subjects() []prompts.Facts {
	var all []prompts.Facts
	for _, p := range places.All() {
		region, detail := scraper.Region(p.RoadAddress)
		all = append(all, prompts.Facts{Name: p.Name, Region: region, Detail: detail, Category: p.Category, Facilities: p.Facilities, Description: p.Description})
	}
	return append(all,
		prompts.Facts{Name: "솔바람스테이", Region: "강원특별자치도 강릉시"},
		prompts.Facts{Name: "달빛 정원 (본점)", Region: "전남 담양군"},
		prompts.Facts{Name: "Stay 257", Region: "부산 해운대구"},
		prompts.Facts{Name: `별 "밤" 펜션`, Region: "충남 태안군"},
		prompts.Facts{Name: "노을집", Region: "인천 중구"},
		prompts.Facts{Name: "은하수글램핑", Region: "세종"},
		prompts.Facts{Name: "고래민박", Region: ""},
	)
}

func ask(t *testing.T, schema string, facts any) []byte {
	t.Helper()
	object, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := newAtlas(true).Answer(schema, object)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return doc
}

func judge(t *testing.T, f prompts.Facts, what string, doc []byte, misses []prompts.Miss) {
	t.Helper()
	if hard := prompts.Hard(misses); len(hard) > 0 {
		t.Errorf("%s %s of %s misses %s\n%s", f.Language, what, f.Name, prompts.Reasons(hard), doc)
	}
}

// What stands for the language model has to pass the product's own checks, as the stages make them.
func TestAnswers_PassTheChecks(t *testing.T) {
	t.Parallel()
	for _, f := range subjects() {
		korean := reportOn(t, f, providers.Korean)
		for _, f.Language = range providers.Languages {
			report := reportOn(t, f, f.Language)
			lyricOn(t, prompts.LyricFacts{Facts: f, Report: report})
			seoOn(t, prompts.SEOFacts{Facts: f, Report: report})
			seoOn(t, prompts.SEOFacts{Facts: f, Report: korean}) // a fresh report of another task is used again
		}
	}
}

func reportOn(t *testing.T, f prompts.Facts, language providers.Language) prompts.Report {
	t.Helper()
	f.Language = language
	doc := ask(t, "marketing", f)
	report, err := prompts.DecodeReport(doc)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, f, "report", doc, prompts.CheckReport(report, language, f.Name))
	return report
}

func lyricOn(t *testing.T, f prompts.LyricFacts) {
	t.Helper()
	doc := ask(t, "lyric", f)
	lyric, err := prompts.DecodeLyric(doc)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, f.Facts, "lyric", doc, prompts.CheckLyric(lyric, f.Language, f.Name, f.Region))
}

func seoOn(t *testing.T, f prompts.SEOFacts) {
	t.Helper()
	doc := ask(t, "youtube", f)
	seo, err := prompts.DecodeSEO(doc)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, f.Facts, "title and description", doc, prompts.CheckSEO(seo, f))
}
