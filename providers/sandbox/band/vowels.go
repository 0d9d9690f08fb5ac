package band

import (
	"strings"
	"unicode"
)

// sung returns the vowel of each syllable in s, as near as the spelling shows it: one for a
// Hangul syllable, a Chinese character, a kana mora, a Thai piece, a digit, and each group of
// vowels in other words. Punctuation, signs and emoji aren't sung.
func sung(s string) []byte {
	var vowels []byte
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case r >= '가' && r <= '힣':
			vowels = append(vowels, hangulVowel(r))
		case unicode.Is(unicode.Han, r) || unicode.IsDigit(r):
			vowels = append(vowels, "aeiou"[uint32(r)%5])
		case r == 'ー' && len(vowels) > 0:
			vowels = append(vowels, vowels[len(vowels)-1])
		case unicode.In(r, unicode.Hiragana, unicode.Katakana):
			if !smallKana(r) || len(vowels) == 0 {
				vowels = append(vowels, kanaVowel(r))
			}
		case unicode.IsLetter(r):
			end := wordEnd(runes, i)
			vowels = append(vowels, wordVowels(runes[i:end])...)
			i = end - 1
		}
	}
	return vowels
}

// wordEnd finds where the run of letters from i ends; apostrophes and combining marks belong to it.
func wordEnd(runes []rune, i int) int {
	for i < len(runes) {
		r := runes[i]
		inside := unicode.IsLetter(r) || unicode.IsMark(r) || r == '\'' || r == '’'
		if !inside || r >= '가' && r <= '힣' || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) {
			return i
		}
		i++
	}
	return i
}

func wordVowels(word []rune) []byte {
	if thaiLetter(word[0]) {
		return []byte{thaiVowel(word)}
	}
	return latinVowels(word)
}

// hangulVowels are the medials of the Unicode order, from ㅏ to ㅣ, as plain vowels.
const hangulVowels = "aeaeoeoeoaeeoueiuuuui"

func hangulVowel(r rune) byte { return hangulVowels[(r-'가')/28%21] }

func kanaVowel(r rune) byte {
	if unicode.Is(unicode.Katakana, r) {
		r -= 'ァ' - 'ぁ'
	}
	for i, column := range []string{
		"ぁあかがさざただなはばぱまゃやらわゎ", "ぇえけげせぜてでねへべぺめれ", "ぃいきぎしじちぢにひびぴみり", "ぉおこごそぞとどのほぼぽもょよろを",
	} {
		if strings.ContainsRune(column, r) {
			return "aeio"[i]
		}
	}
	return 'u'
}

func thaiVowel(word []rune) byte {
	for _, v := range []struct {
		signs string
		vowel byte
	}{{"ิี", 'i'}, {"ึืุู", 'u'}, {"าะัำไใ", 'a'}, {"เแ", 'e'}, {"โอ", 'o'}} {
		if strings.ContainsAny(string(word), v.signs) {
			return v.vowel
		}
	}
	return 'o' // the unwritten vowel
}

// latinVowels finds one vowel a group of vowel letters, without the mute e of English.
func latinVowels(word []rune) []byte {
	var vowels []byte
	inGroup, lastGroup := false, 0
	for i, r := range word {
		v := latinVowel(unicode.ToLower(r))
		// A y before a vowel, and a mark over one, don't end or begin a group.
		if v != 0 && !inGroup {
			vowels = append(vowels, v)
			lastGroup = i
		}
		inGroup = v != 0 || inGroup && unicode.IsMark(r)
	}
	if len(vowels) > 1 && muteEnd(word, lastGroup) {
		vowels = vowels[:len(vowels)-1]
	}
	if len(vowels) == 0 {
		return []byte{'e'} // "hmm", other alphabets
	}
	return vowels
}

// muteEnd reports whether the last group of vowels, at i, is an English mute e: "home", "loved".
func muteEnd(word []rune, i int) bool {
	if word[i] != 'e' || i == 0 {
		return false
	}
	before := word[i-1]
	switch end := string(word[i:]); end {
	case "e":
		return before != 'l' || i < 2 || latinVowel(word[i-2]) != 0 // "gentle" keeps its e, "smile" doesn't
	case "ed":
		return before != 't' && before != 'd'
	case "es":
		return !strings.ContainsRune("scxzgh", before)
	}
	return false
}

// latinVowel maps a lower-case letter to its plain vowel, 0 for consonants.
func latinVowel(r rune) byte {
	for i, letters := range []string{"aàáâãäåæăāạảấầẩẫậắằẳẵặ", "eèéêëēẹẻẽếềểễệœ", "iyìíîïĩīịỉýÿỳỵỷỹ", "oòóôõöøōơọỏốồổỗộớờởỡợ", "uùúûüũūưụủứừửữự"} {
		if strings.ContainsRune(letters, r) {
			return "aeiou"[i]
		}
	}
	return 0
}
