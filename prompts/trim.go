package prompts

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	repeatedMarks = regexp.MustCompile(`[!?！？]{2,}`)
	anyLink       = regexp.MustCompile(`(?i)(?:https?://|www\.)\S+`)
	angle         = strings.NewReplacer("<", "", ">", "")
)

// TrimSEO mends what can be cut: lengths, repeated marks, links and angle brackets, the
// keywords' number. It invents nothing; check the result again, and refuse it when Hard misses are left.
func TrimSEO(s SEO) SEO {
	title := angle.Replace(anyLink.ReplaceAllString(s.Title, ""))
	title = repeatedMarks.ReplaceAllStringFunc(title, firstRune)
	description := angle.Replace(anyLink.ReplaceAllString(s.Description, ""))
	return SEO{
		Title:       closed(cutAtWord(strings.Join(strings.Fields(title), " "), maxTitle)),
		Description: cutAtSentence(strings.TrimSpace(description), maxDescription),
		Keywords:    trimTags(s.Keywords),
	}
}

func firstRune(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return s[:size]
}

// cutAtWord cuts before a word where that doesn't cost more than a third.
func cutAtWord(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	short := string(runes[:limit])
	if i := strings.LastIndexByte(short, ' '); i > len(short)*2/3 {
		short = short[:i]
	}
	return strings.TrimRight(short, " ,.-|:·")
}

// closed drops what follows an opening quotation mark that the cut left open.
func closed(s string) string {
	rest := quoted.ReplaceAllStringFunc(s, func(q string) string { return strings.Repeat("x", len(q)) })
	if i := strings.IndexAny(rest, `"“‘「『《`); i > 0 {
		return strings.TrimRight(s[:i], " ,.-|:·")
	}
	return s
}

// cutAtSentence keeps whole sentences or lines where one ends in the second half.
func cutAtSentence(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	short := string(runes[:limit])
	end := 0
	for i, r := range short {
		if strings.ContainsRune(".!?。！？\n", r) {
			end = i + utf8.RuneLen(r)
		}
	}
	if end*2 > len(short) {
		return strings.TrimSpace(short[:end])
	}
	return cutAtWord(s, limit)
}

func trimTags(tags []string) []string {
	out := []string{}
	seen := map[string]bool{"": true}
	total := 0
	for _, tag := range tags {
		tag = strings.Join(strings.Fields(strings.NewReplacer("#", "", "<", "", ">", "", ",", " ").Replace(tag)), " ")
		n := utf8.RuneCountInString(tag)
		if seen[folded(tag)] || n > maxTag || len(out) >= maxTags || total+n > maxTagsTotal {
			continue
		}
		seen[folded(tag)] = true
		total += n
		out = append(out, tag)
	}
	return out
}
