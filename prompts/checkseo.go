package prompts

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"castad/providers"
)

// Bounds of what YouTube takes and of what the product wants.
const (
	maxTitle       = 100 // characters
	maxDescription = 1000
	shownFirst     = 150 // characters of a description that are seen without unfolding it
	maxTags        = 15
	maxTag         = 30
	maxTagsTotal   = 450 // YouTube takes 500 with quotation marks and commas
)

// CheckSEO names every rule that a title and description miss, against the facts that they were written from.
func CheckSEO(s SEO, f SEOFacts) []Miss {
	var misses []Miss
	misses = append(misses, checkTitle(s, f)...)
	misses = append(misses, checkDescription(s, f)...)
	misses = append(misses, checkTags(s.Keywords)...)
	for _, text := range []fieldText{{"title", s.Title}, {"description", s.Description}} {
		if why := wrongLanguage(text.text, f.Language, latinShare, f.Name, f.Region); why != "" {
			misses = append(misses, Miss{Rule: "seo_language", Detail: text.field + ": " + why})
		}
		if bad := notPublished.FindString(text.text); bad != "" {
			misses = append(misses, Miss{Rule: "seo_link_or_markup", Detail: fmt.Sprintf("the %s has %q", text.field, bad)})
		}
	}
	return misses
}

var (
	notPublished = regexp.MustCompile(`(?i)[<>]|https?:|www\.|\b0\d{1,3}-\d{3,4}-\d{4}\b`)
	quoted       = regexp.MustCompile(`"[^"]+"|“[^”]+”|'[^']+'|‘[^’]+’|「[^」]+」|『[^』]+』|《[^》]+》|«[^»]+»`)
	priceTalk    = regexp.MustCompile(`(?i)[₩$€฿₫]\s*\d|\d(?:만|천)?\s?원(?:[^가-힣]|대|에|부터|짜리|으로|$)|\d\s*(?:元|円|บาท|đồng|%)|\d\s*(?:won|krw|usd)\b|가격|할인|특가|최저가|무료|가성비|\bprices?\b|\bdiscounts?\b|\bcheap(?:est)?\b|\bdeals?\b|(?:^|[^\w-])free\b|价格|优惠|折扣|特价|便宜|価格|割引|格安|お得|ราคา|ส่วนลด|โปรโมชั่น|giá rẻ|giảm giá|khuyến mãi|miễn phí`)
	loud         = regexp.MustCompile(`[!?！？]{2,}|([|#*~★☆♥_=+])\s*[|#*~★☆♥_=+]`)
)

func checkTitle(s SEO, f SEOFacts) []Miss {
	var misses []Miss
	miss := func(soft bool, rule, detail string, args ...any) {
		misses = append(misses, Miss{Rule: rule, Detail: fmt.Sprintf(detail, args...), Soft: soft})
	}
	if n := utf8.RuneCountInString(s.Title); n > maxTitle {
		miss(false, "title_too_long", "the title has %d characters, at most %d", n, maxTitle)
	} else if n < 45 || n > 65 {
		miss(true, "title_length", "the title has %d characters, 45 to 65 are wanted", n)
	}
	if priceTalk.MatchString(s.Title) {
		miss(false, "title_price", "the title talks of prices: %q", priceTalk.FindString(s.Title))
	}
	if word := capitals(s.Title, f.Name); word != "" {
		miss(false, "title_all_caps", "the title has %q in capitals", word)
	}
	if n := symbols(s.Title); n > 2 || loud.MatchString(s.Title) {
		miss(false, "title_symbols", "the title has a heap of symbols")
	}
	return append(append(misses, checkNames(s.Title, f)...), checkTitleKeyword(s, f)...)
}

// checkNames wants the business or region named, and the business never without quotation
// marks. In other languages than Korean the name may be spelled anew: there any quotation counts as the name.
func checkNames(title string, f SEOFacts) []Miss {
	name := folded(spoken(f.Name))
	inQuotes := false
	for _, q := range quoted.FindAllString(title, -1) {
		inQuotes = inQuotes || name != "" && strings.Contains(folded(q), name)
	}
	bare := folded(quoted.ReplaceAllString(title, " "))
	if name != "" && strings.Contains(bare, name) {
		return []Miss{{Rule: "title_quotes", Detail: fmt.Sprintf("the name %q has to stand in quotation marks", spoken(f.Name))}}
	}
	if inQuotes || containsAny(folded(title), regionNames(f.Region)) {
		return nil
	}
	if f.Language != providers.Korean && quoted.MatchString(title) {
		return nil
	}
	return []Miss{{Rule: "title_names", Detail: fmt.Sprintf("the title names neither %q (in quotation marks) nor the region", spoken(f.Name))}}
}

func checkTitleKeyword(s SEO, f SEOFacts) []Miss {
	first := -1
	title := folded(s.Title)
	for _, keyword := range append(wantedKeywords(s, f), foldedAll(s.Keywords)...) {
		if i := strings.Index(title, keyword); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	switch {
	case first < 0:
		return []Miss{{Rule: "title_keyword", Detail: "the title has none of the keywords"}}
	case utf8.RuneCountInString(title[:first])*2 >= utf8.RuneCountInString(title):
		return []Miss{{Rule: "title_keyword_late", Detail: "the primary keyword has to stand in the title's first half"}}
	}
	return nil
}

// wantedKeywords are the report's keywords as they compare, those in the answer's language;
// the answer's own where the report, being in another language, has fewer than three.
func wantedKeywords(s SEO, f SEOFacts) []string {
	var own []string
	for _, keyword := range f.Report.Keywords {
		if wrongLanguage(keyword, f.Language, latinShare) == "" {
			own = append(own, keyword)
		}
	}
	if len(own) < 3 {
		own = s.Keywords
	}
	return foldedAll(own)
}

func foldedAll(list []string) []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, s := range list {
		if s = folded(s); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// capitals returns a word of at least four letters that is all in capitals, as the name may be.
func capitals(text, name string) string {
	for _, word := range strings.FieldsFunc(without(text, []string{name}), func(r rune) bool { return !unicode.IsLetter(r) }) {
		if utf8.RuneCountInString(word) >= 4 && word == strings.ToUpper(word) && word != strings.ToLower(word) {
			return word
		}
	}
	return ""
}

// symbols counts what is neither text nor the punctuation of a sentence.
func symbols(text string) int {
	n := 0
	for _, r := range quoted.ReplaceAllStringFunc(text, folded) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) && !strings.ContainsRune(",.-:·&'’、，。：・…–—/()", r) {
			n++
		}
	}
	return n
}

func checkTags(tags []string) []Miss {
	var misses []Miss
	total := 0
	for _, tag := range tags {
		n := utf8.RuneCountInString(tag)
		total += n
		if n == 0 || n > maxTag || strings.ContainsAny(tag, "#<>,") {
			misses = append(misses, Miss{Rule: "seo_keyword", Detail: fmt.Sprintf("%q is no keyword of 1 to %d characters without #", cut(tag, 60), maxTag)})
		}
	}
	if len(tags) < 3 || len(tags) > maxTags || total > maxTagsTotal {
		misses = append(misses, Miss{Rule: "seo_keyword_count", Detail: fmt.Sprintf("there are %d keywords with %d characters, wanted are 5 to %d with at most %d", len(tags), total, maxTags, maxTagsTotal)})
	}
	return misses
}
