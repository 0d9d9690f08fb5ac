package prompts

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"castad/providers"
)

func checkDescription(s SEO, f SEOFacts) []Miss {
	var misses []Miss
	n := utf8.RuneCountInString(s.Description)
	if n > maxDescription {
		misses = append(misses, Miss{Rule: "description_too_long", Detail: fmt.Sprintf("the description has %d characters, at most %d", n, maxDescription)})
	}
	if n < 120 {
		misses = append(misses, Miss{Rule: "description_too_short", Detail: fmt.Sprintf("the description has only %d characters", n)})
	}
	if priceTalk.MatchString(s.Description) {
		misses = append(misses, Miss{Rule: "description_price", Detail: fmt.Sprintf("the description talks of prices: %q", priceTalk.FindString(s.Description)), Soft: true})
	}
	if lines := len(highlight.FindAllString(s.Description, -1)); lines < 3 || lines > 4 {
		misses = append(misses, Miss{Rule: "description_highlights", Detail: fmt.Sprintf("there are %d highlight lines that begin with \"- \", wanted are 3 or 4", lines), Soft: true})
	}
	misses = append(misses, checkWoven(s, f)...)
	if f.Language == providers.Korean {
		misses = append(misses, checkKorean(s, f)...)
	}
	return misses
}

var highlight = regexp.MustCompile(`(?m)^\s*[-•·✔✓✅▪]\s*\S`)

// checkWoven counts the target keywords in the description: too few don't help, too many
// or repeated ones are stuffing.
func checkWoven(s SEO, f SEOFacts) []Miss {
	text := folded(s.Description)
	keywords := wantedKeywords(s, f)
	var misses []Miss
	found := 0
	for _, keyword := range keywords {
		n := strings.Count(text, keyword)
		if n > 0 {
			found++
		}
		if n > 4 && keyword != folded(f.Name) {
			misses = append(misses, Miss{Rule: "keywords_stuffed", Detail: fmt.Sprintf("%q stands in the description %d times", keyword, n)})
		}
	}
	if wanted := min(3, len(keywords)); found < wanted {
		misses = append(misses, Miss{Rule: "keywords_missing", Detail: fmt.Sprintf("%d of the target keywords are woven into the description, wanted are 3 to 5 of: %s", found, strings.Join(keywords, ", "))})
	}
	if found > 5 {
		misses = append(misses, Miss{Rule: "keywords_many", Detail: fmt.Sprintf("%d target keywords are woven in, wanted are 3 to 5", found), Soft: found <= 8})
	}
	return misses
}

var (
	// A sentence begins at the text's start, on a new line, behind an end mark, or behind a bullet or opening quotation mark there.
	thisPlaceIs = regexp.MustCompile(`(?m)(?:^|[.!?…。]\s*)[-•·✔✓✅▪“"'‘\s]*이곳은`)
	plainStyle  = regexp.MustCompile(`([가-힣]*[가-힣])다[.!](?:\s|$)`)
	vaguePlace  = regexp.MustCompile(`(?:^|[^가-힣])근대거리`)
)

// checkKorean checks the rules that only Korean has.
func checkKorean(s SEO, f SEOFacts) []Miss {
	var misses []Miss
	for _, text := range []fieldText{{"title", s.Title}, {"description", s.Description}} {
		for _, rule := range []struct {
			name, say string
			broken    bool
		}{
			{"korean_opening", "no sentence may begin with \"이곳은\"", thisPlaceIs.MatchString(text.text)},
			{"korean_phrase", "\"선택이 됩니다\": write \"추천 드립니다\"", strings.Contains(text.text, "선택이 됩니다")},
			{"korean_honorific", "\"있나요?\": write \"있으신가요?\"", strings.Contains(text.text, "있나요")},
			{"korean_vague", "\"근대거리\" alone is vague: write the place's full name, such as \"군산 근대역사문화거리 일대\"", vaguePlace.MatchString(text.text)},
		} {
			if rule.broken {
				misses = append(misses, Miss{Rule: rule.name, Detail: text.field + ": " + rule.say})
			}
		}
	}
	for _, m := range plainStyle.FindAllStringSubmatch(s.Description, -1) {
		if !politeStem(m[1]) {
			misses = append(misses, Miss{Rule: "korean_honorific", Detail: fmt.Sprintf("%q is plain style: write polite, honorific Korean", m[1]+"다.")})
			break
		}
	}
	return append(misses, checkShownFirst(s, f)...)
}

// politeStem reports whether what stands before a closing 다 makes it polite: 합니다, 드립니다, 있습니다.
func politeStem(word string) bool { return strings.HasSuffix(word, "니") }

func checkShownFirst(s SEO, f SEOFacts) []Miss {
	shown := []rune(s.Description)
	head := folded(string(shown[:min(len(shown), shownFirst)]))
	if containsAny(head, append(regionNames(f.Region), folded(spoken(f.Name)))) {
		return nil
	}
	return []Miss{{Rule: "description_head", Detail: "the first 150 characters name neither the business nor the region"}}
}
