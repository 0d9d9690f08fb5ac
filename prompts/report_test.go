package prompts

import (
	"encoding/json"
	"slices"
	"testing"

	"castad/providers"
)

func goodReport() Report {
	return Report{
		Brand:  Brand{Concept: "숲이 품은 조용한 하루", Tagline: "하루쯤은 숲에서", Tone: "따뜻하고 담백한"},
		Market: Market{Category: "독채 펜션", Position: "아이와 함께 쉬려는 가족", Advantage: "객실마다 있는 BBQ 마당"},
		Personas: []Persona{
			{Name: "주말 가족", AgeRange: "30-40대", Needs: "아이가 뛰놀 곳", Message: "마당이 놀이터가 됩니다"},
			{Name: "조용한 연인", AgeRange: "20대", Needs: "둘만의 밤", Message: "별만 보고 가세요"},
		},
		SellingPoints: []SellingPoint{{"숲 전망", "창밖이 모두 숲", 90}, {"장작불", "저녁마다 불멍", 70}, {"수영장", "여름 물놀이", 60}},
		Keywords:      []string{"#가평펜션", "#숲속펜션", "#가평불멍", "#가족여행", "#숲속하루펜션"},
	}
}

func TestCheckReport(t *testing.T) {
	t.Parallel()
	if misses := CheckReport(goodReport(), providers.Korean, "숲속하루펜션"); len(misses) > 0 {
		t.Errorf("the good report misses %s", Reasons(misses))
	}
	for rule, spoil := range map[string]func(*Report){
		"report_empty":    func(r *Report) { r.Brand.Tagline = " " },
		"report_language": func(r *Report) { r.Brand.Concept = "A quiet day in the woods, far away from all the noise of the city" },
		"report_score":    func(r *Report) { r.SellingPoints[1].Score = 101 },
		"report_count":    func(r *Report) { r.Personas = r.Personas[:1] },
		"report_hashtag":  func(r *Report) { r.Keywords[2] = "가평 불멍" },
	} {
		r := goodReport()
		spoil(&r)
		misses := CheckReport(r, providers.Korean)
		if !slices.ContainsFunc(misses, func(m Miss) bool { return m.Rule == rule }) {
			t.Errorf("%s isn't caught: %s", rule, Reasons(misses))
		}
	}
	twice := goodReport()
	twice.Keywords[1] = "#가평펜션"
	if len(CheckReport(twice, providers.Korean)) != 1 {
		t.Error("a keyword stands there twice")
	}
}

func TestDecodeReport_ReadsItsOwnForm(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(goodReport())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeReport(raw); err != nil {
		t.Error(err)
	}
}
