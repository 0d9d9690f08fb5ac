package band

import (
	"regexp"
	"strings"
	"unicode"
)

// section is what a part of a song is for; it decides how the band plays.
type section uint8

const (
	intro section = iota
	verse
	chorus
	interlude
	outro
	tail // after the last word
)

// line is one sung line.
type line struct {
	section section
	units   []unit
}

func (l line) syllables() int {
	n := 0
	for _, u := range l.units {
		n += len(u.vowels)
	}
	return n
}

// unit is what becomes one Word: a piece of the lyrics with what stands around it,
// and one vowel (a, e, i, o or u) for each of its notes, at least one.
type unit struct {
	text   string
	vowels []byte
}

var (
	leadingTag = regexp.MustCompile(`^\s*\[[^\[\]\n]{0,80}\]\s*`)
	manyFeeds  = regexp.MustCompile(`\n[ \t]*\n\s*\n`)
)

// readLyrics cuts lyrics into sung lines whose units together hold every character, tags
// included. Lines without anything that can be sung belong to their neighbours.
func readLyrics(lyrics string) []line {
	lyrics = strings.ToValidUTF8(strings.ReplaceAll(lyrics, "\r\n", "\n"), "\uFFFD")
	lyrics = manyFeeds.ReplaceAllString(strings.TrimSpace(lyrics), "\n\n")
	split := splitterFor(lyrics)
	var lines []line
	now, pending := verse, ""
	for raw := range strings.Lines(lyrics) {
		tags, rest := cutTags(raw)
		if tags != "" {
			now = sectionNamed(tags, now)
		}
		units := unitsOf(split, rest)
		switch {
		case len(units) > 0:
			units[0].text = pending + tags + units[0].text
			pending = ""
			lines = append(lines, line{now, units})
		case pending == "" && tags == "" && len(lines) > 0: // the empty line after a verse
			appendText(lines, raw)
		default:
			pending += raw
		}
	}
	if len(lines) > 0 {
		appendText(lines, pending)
	}
	return lines
}

// appendText gives text to the last unit of the last line.
func appendText(lines []line, text string) {
	units := lines[len(lines)-1].units
	units[len(units)-1].text += text
}

// cutTags splits the section tags off a line's front.
func cutTags(raw string) (tags, rest string) {
	rest = raw
	for {
		m := leadingTag.FindString(rest)
		if m == "" {
			return tags, rest
		}
		tags, rest = tags+m, rest[len(m):]
	}
}

// sectionNamed reads a tag; one that says nothing about the song's shape ("[soft]") leaves it.
func sectionNamed(tag string, now section) section {
	tag = strings.ToLower(tag)
	for _, t := range []struct {
		section section
		names   []string
	}{
		{verse, []string{"pre-chorus", "pre chorus"}},
		{chorus, []string{"chorus", "hook", "refrain", "drop", "후렴", "副歌", "サビ"}},
		{verse, []string{"verse", "bridge", "intro", "절"}},
		{outro, []string{"outro", "end", "coda"}},
	} {
		for _, name := range t.names {
			if strings.Contains(tag, name) {
				return t.section
			}
		}
	}
	return now
}

// unitsOf cuts a line; what can't be sung (a dash, a note sign) goes to the piece before it,
// or to the one after it at a line's start.
func unitsOf(split func(string) []string, text string) []unit {
	var units []unit
	pending := ""
	for _, piece := range split(text) {
		vowels := sung(piece)
		switch {
		case len(vowels) > 0:
			units = append(units, unit{pending + piece, vowels})
			pending = ""
		case len(units) > 0:
			units[len(units)-1].text += piece
		default:
			pending += piece
		}
	}
	return units
}

// splitterFor picks how lines are cut, by the script of the whole lyrics: song services
// align words where words are written apart, and lines or bits where they aren't.
func splitterFor(lyrics string) func(string) []string {
	count := map[*unicode.RangeTable]int{}
	for _, r := range lyrics {
		for _, script := range []*unicode.RangeTable{unicode.Hangul, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Han} {
			if unicode.Is(script, r) {
				count[script]++
			}
		}
	}
	kana := count[unicode.Hiragana] + count[unicode.Katakana]
	others := max(kana+count[unicode.Han], count[unicode.Thai])
	switch {
	case count[unicode.Hangul] >= others:
		return splitWords // Latin scripts too: all counts are zero
	case count[unicode.Thai] >= kana+count[unicode.Han]:
		return splitThai
	case kana*5 >= count[unicode.Han]:
		return splitJapanese
	default:
		return func(s string) []string { return []string{s} }
	}
}
