package prompts

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"castad/providers"
)

// golden is a good answer in one language, and bad ones with the rules that each has to be caught by.
type golden struct {
	Language providers.Language
	Name     string
	Keywords []string `json:"target_keywords"`
	Good     json.RawMessage
	Bad      []struct {
		Misses []string
		Answer json.RawMessage
	}
}

func load6(t *testing.T, kind string) []golden {
	t.Helper()
	var all []golden
	for _, language := range providers.Languages {
		raw, err := os.ReadFile("testdata/" + kind + "-" + string(language) + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := json.Unmarshal(raw, &g); err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	return all
}

// judge checks a golden file's answers: nothing is wrong with the good one, and each bad one misses what it says.
func (g golden) judge(t *testing.T, check func(answer []byte) []Miss) {
	t.Helper()
	if misses := check(g.Good); len(Hard(misses)) > 0 {
		t.Errorf("%s: the good answer misses %s", g.Language, Reasons(misses))
	}
	if len(g.Bad) < 5 {
		t.Errorf("%s has only %d bad answers", g.Language, len(g.Bad))
	}
	for i, bad := range g.Bad {
		misses := Hard(check(bad.Answer))
		for _, rule := range bad.Misses {
			if !slices.ContainsFunc(misses, func(m Miss) bool { return m.Rule == rule && m.Detail != "" }) {
				t.Errorf("%s: bad answer %d isn't caught by %s but misses %q", g.Language, i, rule, Reasons(misses))
			}
		}
	}
}

func TestCheckLyric_SixLanguages(t *testing.T) {
	t.Parallel()
	for _, g := range load6(t, "lyric") {
		g.judge(t, func(answer []byte) []Miss {
			l, err := DecodeLyric(answer)
			if err != nil {
				t.Fatal(err)
			}
			return CheckLyric(l, g.Language, "숲속하루펜션 (가평점)", "경기 가평군")
		})
	}
}

func TestCheckSEO_SixLanguages(t *testing.T) {
	t.Parallel()
	for _, g := range load6(t, "seo") {
		facts := SEOFacts{Facts: Facts{Name: g.Name, Region: "경기 가평군", Language: g.Language}, Report: Report{Keywords: g.Keywords}}
		g.judge(t, func(answer []byte) []Miss {
			s, err := DecodeSEO(answer)
			if err != nil {
				t.Fatal(err)
			}
			return CheckSEO(s, facts)
		})
	}
}

// Each language's good answer is refused where another language is wanted.
func TestCheckLyric_TellsLanguagesApart(t *testing.T) {
	t.Parallel()
	for _, g := range load6(t, "lyric") {
		for _, wanted := range providers.Languages {
			l, err := DecodeLyric(g.Good)
			if err != nil {
				t.Fatal(err)
			}
			misses := Hard(CheckLyric(l, wanted, "", ""))
			refused := slices.ContainsFunc(misses, func(m Miss) bool { return m.Rule == "lyric_language" })
			if refused != (wanted != g.Language) {
				t.Errorf("%s lyrics where %s are wanted: refused %v", g.Language, wanted, refused)
			}
		}
	}
}

func TestPriceTalk(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"가평펜션 9만원대": true, "하루 50000원": true, "2026 원주 여행": false, "₩90,000 a night": true, "stress-free weekend": false, "a free night": true,
		"2 wonderful days": false, "20 won": true, "50% off": true, "đánh giá chân thật": false, "phòng giá rẻ": true, "2泊3日": false, "8000円": true,
	} {
		if got := priceTalk.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
