package prompts

import (
	"fmt"
	"strings"

	"castad/providers"
)

// latinShare is how much of a prose text in another script may be Latin letters.
const latinShare = 0.2

// CheckReport names every rule that the report misses. names (the business, its region)
// may stand in their own script.
func CheckReport(r Report, language providers.Language, names ...string) []Miss {
	misses := checkCounts(r)
	for _, t := range r.texts() {
		if strings.TrimSpace(t.text) == "" {
			misses = append(misses, Miss{Rule: "report_empty", Detail: t.field + " is empty"})
		}
	}
	if why := wrongLanguage(r.prose(), language, latinShare, names...); why != "" {
		misses = append(misses, Miss{Rule: "report_language", Detail: why})
	}
	for _, p := range r.SellingPoints {
		if p.Score < 0 || p.Score > 100 {
			misses = append(misses, Miss{Rule: "report_score", Detail: fmt.Sprintf("the score %d isn't between 0 and 100", p.Score)})
		}
	}
	return append(misses, checkHashtags(r.Keywords)...)
}

func checkCounts(r Report) []Miss {
	var misses []Miss
	for _, c := range []struct {
		what        string
		n, from, to int
	}{
		{"target_personas", len(r.Personas), 2, 5},
		{"selling_points", len(r.SellingPoints), 3, 8},
		{"target_keywords", len(r.Keywords), 5, 15},
	} {
		if c.n < c.from || c.n > c.to {
			misses = append(misses, Miss{Rule: "report_count", Detail: fmt.Sprintf("there are %d %s, wanted are %d to %d", c.n, c.what, c.from, c.to)})
		}
	}
	return misses
}

func checkHashtags(tags []string) []Miss {
	var misses []Miss
	seen := map[string]bool{}
	for _, tag := range tags {
		body, ok := strings.CutPrefix(tag, "#")
		switch key := folded(tag); {
		case !ok || body == "" || strings.ContainsAny(body, " #\t\n,"):
			misses = append(misses, Miss{Rule: "report_hashtag", Detail: fmt.Sprintf("%q is no hashtag: # and one word", cut(tag, 60))})
		case len([]rune(tag)) > 41:
			misses = append(misses, Miss{Rule: "report_hashtag", Detail: fmt.Sprintf("%q is longer than 40 characters", cut(tag, 60))})
		case seen[key]:
			misses = append(misses, Miss{Rule: "report_hashtag", Detail: fmt.Sprintf("%q stands there twice", cut(tag, 60))})
		default:
			seen[key] = true
		}
	}
	return misses
}

type fieldText struct{ field, text string }

func (r Report) texts() []fieldText {
	out := []fieldText{
		{"concept", r.Brand.Concept}, {"tagline", r.Brand.Tagline}, {"tone", r.Brand.Tone},
		{"category", r.Market.Category}, {"position", r.Market.Position}, {"advantage", r.Market.Advantage},
	}
	for _, p := range r.Personas {
		out = append(out, fieldText{"persona name", p.Name}, fieldText{"age_range", p.AgeRange}, fieldText{"needs", p.Needs}, fieldText{"message", p.Message})
	}
	for _, p := range r.SellingPoints {
		out = append(out, fieldText{"selling point title", p.Title}, fieldText{"selling point description", p.Description})
	}
	return out
}

func (r Report) prose() string {
	var all strings.Builder
	for _, t := range r.texts() {
		all.WriteString(t.text + "\n")
	}
	return all.String()
}
