package prompts

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxStyle is the shortest limit of Suno's models for a style.
const maxStyle = 200

// Style is the song's style for Suno, at most 200 characters: genre, mood, tempo and vocal
// in the customer's words, cleaned, and the wish for a short song.
func Style(m Music) string {
	var parts []string
	length := 0
	for _, part := range []string{styleWord(m.Genre), styleWord(m.Mood), tempo(styleWord(m.Tempo)), vocal(styleWord(m.Vocal)), "short jingle"} {
		n := utf8.RuneCountInString(part) + 2
		if part == "" || length+n > maxStyle+2 {
			continue
		}
		length += n
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// styleWord keeps letters, digits and plain punctuation: a style is no place for tags or line feeds.
func styleWord(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || strings.ContainsRune("-&,/'. ", r) {
			return r
		}
		return ' '
	}, cut(s, 60))
	return strings.Trim(strings.Join(strings.Fields(s), " "), " ,")
}

// tempo turns a bare number into beats and a bare word into a tempo.
func tempo(s string) string {
	if n, err := strconv.Atoi(s); err == nil {
		return strconv.Itoa(min(max(n, 40), 220)) + " bpm"
	}
	switch strings.ToLower(s) {
	case "slow", "medium", "mid", "fast", "moderate":
		return strings.ToLower(s) + " tempo"
	}
	return s
}

// Gender is Suno's wish for the voice that a vocal setting means: "m", "f" or "" for none.
func Gender(m Music) string {
	switch v := strings.ToLower(m.Vocal); {
	case strings.Contains(v, "female"), strings.Contains(v, "woman"), strings.Contains(v, "여성"), strings.Contains(v, "여자"):
		return "f"
	case strings.Contains(v, "male"), strings.Contains(v, "man"), strings.Contains(v, "남성"), strings.Contains(v, "남자"):
		return "m"
	}
	return ""
}

func vocal(s string) string {
	if s == "" || strings.Contains(strings.ToLower(s), "vocal") || strings.Contains(s, "보컬") {
		return s
	}
	return s + " vocal"
}
