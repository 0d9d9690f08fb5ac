package prompts

import (
	"fmt"
	"strings"
	"unicode"

	"castad/providers"
)

// letters counts a text's letters by what tells the six languages apart.
type letters struct {
	hangul, han, kana, thai, latin, other int
	marked                                int // Latin letters, or marks on them, that only Vietnamese writes
}

func countLetters(text string) letters {
	var n letters
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Hangul, r):
			n.hangul++
		case unicode.Is(unicode.Hiragana, r), unicode.Is(unicode.Katakana, r), r == 'ー':
			n.kana++
		case unicode.Is(unicode.Han, r):
			n.han++
		case unicode.Is(unicode.Thai, r) && unicode.IsLetter(r):
			n.thai++
		case unicode.Is(unicode.Latin, r):
			n.latin++
			if vietnamese(r) {
				n.marked++
			}
		case r >= 0x0300 && r <= 0x0323:
			n.marked++ // decomposed
		case unicode.IsLetter(r):
			n.other++
		}
	}
	return n
}

// vietnamese reports whether r is a letter that Vietnamese has and English, even with a borrowed café, doesn't.
func vietnamese(r rune) bool {
	return r >= 0x1ea0 && r <= 0x1ef9 || strings.ContainsRune("ăĂđĐơƠưƯĩĨũŨâÂêÊôÔãÃõÕ", r) || strings.ContainsRune("àáèìíòóùúýÀÁÈÌÍÒÓÙÚÝ", r)
}

func (n letters) total() int { return n.hangul + n.han + n.kana + n.thai + n.latin + n.other }

// own is how many letters belong to the language's script.
func (n letters) own(l providers.Language) int {
	switch l {
	case providers.Korean:
		return n.hangul
	case providers.Chinese:
		return n.han
	case providers.Japanese:
		return n.han + n.kana
	case providers.Thai:
		return n.thai
	default:
		return n.latin
	}
}

// wrongLanguage says why a text isn't in the language, or "". latinShare is how much of
// it may be Latin in a language of another script ("Wi-Fi", "BBQ"); names, which may stand in any script, don't count.
func wrongLanguage(text string, l providers.Language, latinShare float64, names ...string) string {
	n := countLetters(without(text, names))
	total := n.total()
	if total == 0 {
		if countLetters(text).total() > 0 {
			return "" // nothing but names
		}
		return "it has no letters"
	}
	if foreign := total - n.own(l) - n.latinBeside(l); foreign > 0 {
		return fmt.Sprintf("%d of %d letters aren't %s", foreign, total, l)
	}
	if share := float64(n.latinBeside(l)) / float64(total); share > latinShare {
		return fmt.Sprintf("%.0f %% of the letters are Latin, not %s", 100*share, l)
	}
	return n.lookAlike(l)
}

// latinBeside is how many Latin letters stand in a text of another script.
func (n letters) latinBeside(l providers.Language) int {
	if l == providers.English || l == providers.Vietnamese {
		return 0
	}
	return n.latin
}

// lookAlike tells apart the languages that share a script, in texts that are long enough to show it.
func (n letters) lookAlike(l providers.Language) string {
	switch {
	case l == providers.English && n.marked >= 3 && n.marked*15 > n.latin:
		return "its letters are Vietnamese, not English"
	case l == providers.Vietnamese && n.latin >= 20 && n.marked*12 < n.latin:
		return "it has hardly any Vietnamese letters"
	case l == providers.Japanese && n.han >= 12 && n.kana == 0:
		return "it has no kana, so it is Chinese, not Japanese"
	}
	return ""
}

// without takes names out of a text, whatever their case.
func without(text string, names []string) string {
	for _, name := range names {
		if name = strings.TrimSpace(name); len([]rune(name)) >= 2 {
			text = replaceFold(text, name)
		}
	}
	return text
}

func replaceFold(text, name string) string {
	lower, wanted := strings.ToLower(text), strings.ToLower(name)
	if len(lower) != len(text) {
		return strings.ReplaceAll(text, name, " ") // a rare letter whose case changes its length
	}
	var out strings.Builder
	for {
		i := strings.Index(lower, wanted)
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:i] + " ")
		text, lower = text[i+len(wanted):], lower[i+len(wanted):]
	}
}

// folded keeps a text's letters and digits in one case: for comparing what may be spaced differently.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}
