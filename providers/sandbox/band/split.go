package band

import (
	"strings"
	"unicode"
)

// splitWords cuts after each run of blanks.
func splitWords(s string) []string {
	var words []string
	start, blank, seen := 0, false, false
	for i, r := range s {
		space := unicode.IsSpace(r)
		if blank && !space && seen {
			words = append(words, s[start:i])
			start = i
		}
		blank, seen = space, seen || !space
	}
	return append(words, s[start:])
}

// longestPiece is how many morae of kana stay together.
const longestPiece = 5

// splitJapanese cuts where a new word is likely to begin: at a Chinese character, katakana
// or Latin letter after something else, after punctuation, and within long runs of kana.
func splitJapanese(s string) []string {
	var pieces []string
	var last rune
	start := 0
	for i, r := range s {
		if i > start && breaksJapanese(last, r, len(sung(s[start:i]))) {
			pieces = append(pieces, s[start:i])
			start = i
		}
		last = r
	}
	return append(pieces, s[start:])
}

func breaksJapanese(last, r rune, morae int) bool {
	if !unicode.IsLetter(r) && !unicode.IsDigit(r) || morae == 0 || smallKana(r) || r == 'ー' || r == 'ん' {
		return false
	}
	if !unicode.IsLetter(last) && !unicode.IsDigit(last) && last != 'ー' {
		return true
	}
	if unicode.Is(unicode.Hiragana, r) {
		return morae >= longestPiece
	}
	return scriptOf(last) != scriptOf(r)
}

// scriptOf tells apart what Japanese mixes; the long-vowel mark goes with katakana.
func scriptOf(r rune) rune {
	switch {
	case unicode.Is(unicode.Han, r):
		return 'h'
	case unicode.Is(unicode.Katakana, r) || r == 'ー':
		return 'k'
	case unicode.Is(unicode.Hiragana, r):
		return 'a'
	default:
		return 'l'
	}
}

// smallKana reports whether r belongs to the mora before it (small tsu is one of its own).
func smallKana(r rune) bool {
	return strings.ContainsRune("ぁぃぅぇぉゃゅょゎァィゥェォャュョヮ", r)
}

// splitThai cuts into syllables as far as the spelling shows them without a dictionary.
func splitThai(s string) []string {
	var pieces []string
	var cur thaiSyllable
	for _, c := range thaiClusters(s) {
		if cur.text != "" && !cur.takes(c) {
			pieces = append(pieces, cur.text)
			cur = thaiSyllable{}
		}
		cur.add(c)
	}
	if cur.text != "" {
		pieces = append(pieces, cur.text)
	}
	return pieces
}

// thaiClusters cuts into a consonant with its vowel before and its marks and vowels after,
// or a run of anything else.
func thaiClusters(s string) []string {
	var out []string
	start, last := 0, rune(0)
	for i, r := range s {
		joins := thaiFollows(r) || thaiLeads(last) && thaiConsonant(r) || !thaiLetter(r) && !thaiLetter(last)
		if i > start && !joins {
			out = append(out, s[start:i])
			start = i
		}
		last = r
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

func thaiConsonant(r rune) bool { return r >= 'ก' && r <= 'ฮ' }
func thaiLeads(r rune) bool     { return r >= 'เ' && r <= 'ไ' }
func thaiLetter(r rune) bool    { return unicode.Is(unicode.Thai, r) }
func thaiFollows(r rune) bool   { return r >= 'ฯ' && r <= '\u0e3a' || r >= '\u0e45' && r <= '\u0e4e' }

// thaiSyllable grows by clusters.
type thaiSyllable struct {
	text   string
	vowel  bool // written; or else the vowel between bare consonants isn't
	bare   int  // consonants after the vowel, or of a syllable without one
	closed bool // nothing can follow
}

// takes reports whether cluster c still belongs to the syllable.
func (t *thaiSyllable) takes(c string) bool {
	first := []rune(c)[0]
	switch {
	case !thaiLetter(first):
		return true // blanks and signs trail
	case t.closed:
		return false
	case strings.ContainsRune(c, '\u0e4c'): // a silent letter
		return true
	case t.glides(first):
		return true
	case voiced(c):
		return !t.vowel && t.bare == 1
	case t.vowel:
		return t.bare == 0
	default:
		return t.bare < 2
	}
}

// glides reports whether consonant r writes a vowel here: ia, uea, o, ua.
func (t *thaiSyllable) glides(r rune) bool {
	switch r {
	case 'ย':
		return t.bare == 0 && strings.ContainsRune(t.text, 'ี') && strings.ContainsRune(t.text, 'เ')
	case 'อ':
		return t.bare == 0 && strings.ContainsRune(t.text, 'ื') || !t.vowel && t.bare == 1
	case 'ว':
		return !t.vowel && t.bare == 1
	}
	return false
}

func (t *thaiSyllable) add(c string) {
	r := []rune(c)[0]
	switch {
	case !thaiLetter(r):
		t.closed = len(sung(t.text+c)) > 0
	case strings.ContainsRune(c, '\u0e4c'):
	case voiced(c):
		t.vowel, t.bare = true, 0
		t.closed = strings.ContainsAny(c, "ะำๆฯไใ")
	case t.text != "" && t.glides(r):
		t.vowel, t.bare = true, 0
	default:
		t.bare++
	}
	t.text += c
}

// voiced reports whether a cluster writes a vowel.
func voiced(c string) bool {
	for _, r := range c {
		if thaiLeads(r) || r >= 'ะ' && r <= '\u0e39' || r == '\u0e47' || r == 'ๅ' {
			return true
		}
	}
	return false
}
