package prompts

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"castad/providers"
)

// What can be sung in sixty seconds with room for an intro, by our own estimate of singing speed.
const (
	minLines       = 8
	maxLines       = 16
	maxLineSeconds = 7.0
	maxSungSeconds = 52.0
	minSungSeconds = 15.0
)

// CheckLyric names every rule that the lyrics miss: their language, their length, the
// order of sections, that nothing but what is sung stands in them, and, in Korean, that
// the name and the region are sung. In other languages both are written as they sound,
// which a program can't tell.
func CheckLyric(l Lyric, language providers.Language, name, region string) []Miss {
	var names []string
	if language == providers.Korean {
		names = []string{name} // "Stay 257" is sung as it is
	}
	var misses []Miss
	misses = append(misses, checkLines(l, language, names)...)
	if why := countLetters(strings.Join(l.Texts(), " ")).lookAlike(language); why != "" {
		misses = append(misses, Miss{Rule: "lyric_language", Detail: why}) // a line alone may be too short to show it
	}
	misses = append(misses, checkLength(l, language)...)
	misses = append(misses, checkSections(l)...)
	if language == providers.Korean {
		misses = append(misses, checkSungNames(l, name, region)...)
	}
	if t := strings.TrimSpace(l.Title); t == "" || len([]rune(t)) > 80 {
		misses = append(misses, Miss{Rule: "lyric_title", Detail: "the title has to have 1 to 80 characters"})
	} else if why := wrongLanguage(t, language, 0, name); why != "" {
		misses = append(misses, Miss{Rule: "lyric_language", Detail: "title: " + why, Soft: true})
	}
	return misses
}

var notSung = regexp.MustCompile(`[\[\]{}<>()（）【】#@*_|~^=\\/]|https?:|www\.|\p{So}|\n`)

func checkLines(l Lyric, language providers.Language, names []string) []Miss {
	var misses []Miss
	for i, line := range l.Lines {
		if why := wrongLanguage(line.Text, language, 0, names...); why != "" {
			misses = append(misses, Miss{Rule: "lyric_language", Detail: fmt.Sprintf("line %d: %s: %q", i+1, why, cut(line.Text, 60))})
		}
		if bad := notSung.FindString(line.Text); bad != "" {
			misses = append(misses, Miss{Rule: "lyric_only", Detail: fmt.Sprintf("line %d has %q, which isn't sung", i+1, bad)})
		}
		if s := sungSeconds(line.Text, language); s > maxLineSeconds {
			misses = append(misses, Miss{Rule: "lyric_line_too_long", Detail: fmt.Sprintf("line %d takes about %.0f s to sing, %.0f s at most: %q", i+1, s, maxLineSeconds, cut(line.Text, 60))})
		}
	}
	return misses
}

func checkLength(l Lyric, language providers.Language) []Miss {
	if n := len(l.Lines); n < minLines || n > maxLines {
		return []Miss{{Rule: "lyric_line_count", Detail: fmt.Sprintf("there are %d lines, wanted are %d to %d", n, minLines, maxLines)}}
	}
	var seconds float64
	for _, line := range l.Lines {
		seconds += sungSeconds(line.Text, language)
	}
	if seconds > maxSungSeconds || seconds < minSungSeconds {
		return []Miss{{Rule: "lyric_seconds", Detail: fmt.Sprintf("the lines take about %.0f s to sing, wanted are %.0f to %.0f", seconds, minSungSeconds, maxSungSeconds)}}
	}
	return nil
}

func checkSections(l Lyric) []Miss {
	var misses []Miss
	have := map[string]bool{}
	for _, line := range l.Lines {
		if have["outro"] && line.Section != "outro" {
			misses = append(misses, Miss{Rule: "lyric_sections", Detail: "the outro has to be the end"})
			break
		}
		have[line.Section] = true
	}
	for _, section := range []string{"verse", "chorus", "outro"} {
		if !have[section] {
			misses = append(misses, Miss{Rule: "lyric_sections", Detail: "there is no " + section})
		}
		delete(have, section)
	}
	if len(have) > 0 {
		misses = append(misses, Miss{Rule: "lyric_sections", Detail: "a section is verse, chorus or outro"})
	}
	return misses
}

func checkSungNames(l Lyric, name, region string) []Miss {
	var all strings.Builder
	for _, line := range l.Lines {
		all.WriteString(folded(line.Text))
	}
	var misses []Miss
	if wanted := folded(spoken(name)); sungAsWritten(wanted) && !strings.Contains(all.String(), wanted) {
		misses = append(misses, Miss{Rule: "lyric_name", Detail: fmt.Sprintf("the name %q isn't sung", spoken(name))})
	}
	towns := regionNames(region)
	if len(towns) > 0 && !containsAny(all.String(), towns) {
		misses = append(misses, Miss{Rule: "lyric_region", Detail: fmt.Sprintf("none of %s is sung", strings.Join(towns, ", "))})
	}
	return misses
}

var aside = regexp.MustCompile(`\s*[(（\[].*?[)）\]]`)

// spoken is a business's name without what stands in brackets behind it.
func spoken(name string) string {
	if s := strings.TrimSpace(aside.ReplaceAllString(name, "")); s != "" {
		return s
	}
	return name
}

// sungAsWritten is false for names with Latin letters or digits: how they are sung in Korean can't be told.
func sungAsWritten(name string) bool {
	n := countLetters(name)
	return n.hangul > 0 && n.hangul == len([]rune(name))
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if part != "" && strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// sungSeconds estimates how long a line takes to sing: its syllables (morae in Japanese)
// by a moderate speed a second. Rough, but it tells a line from a paragraph.
func sungSeconds(line string, language providers.Language) float64 {
	n := countLetters(line)
	latin := float64(vowelGroups(line))
	switch language {
	case providers.Korean:
		return (float64(n.hangul) + latin) / 3.6
	case providers.Chinese:
		return (float64(n.han) + latin) / 2.7
	case providers.Japanese:
		return (float64(n.kana) + 1.7*float64(n.han) + latin) / 5
	case providers.Thai:
		return (float64(n.thai)/2.6 + latin) / 3
	case providers.Vietnamese:
		return float64(len(strings.Fields(line))) / 2.6
	default:
		return latin / 3.4
	}
}

// vowelGroups counts the syllables of Latin words: runs of vowels, at least one a word.
func vowelGroups(line string) int {
	count := 0
	for _, word := range strings.Fields(line) {
		in, groups, isLatin := false, 0, false
		for _, r := range strings.ToLower(word) {
			isLatin = isLatin || unicode.Is(unicode.Latin, r)
			vowel := strings.ContainsRune("aeiouyàáâãèéêìíòóôõùúýăĩũơư", r)
			if vowel && !in {
				groups++
			}
			in = vowel
		}
		if isLatin {
			count += max(groups, 1)
		}
	}
	return count
}
