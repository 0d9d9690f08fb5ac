package align

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"castad/providers"
)

const (
	maxUnits   = 4000
	maxLetters = 4000 // of a side of the comparison
)

// sungLetter is one comparable rune of the units with its share of the unit's time.
type sungLetter struct {
	r          rune
	start, end float64
	unit       int
}

// A tag may be split over several units, so tags are looked for in all of the text at once.
var tags = regexp.MustCompile(`(?i)\[[^\[\]]{0,60}\]|[(（]\s*(?:verse|chorus|outro|intro|bridge|hook|pre-chorus|end|instrumental|interlude)[^()（）]{0,30}[)）]|(?:^|\n)\s*(?:verse|chorus|outro|intro|bridge|hook|pre-chorus)\s*\d*\s*:`)

// sungLetters flattens the units: tags dropped, a unit's time spread evenly over its letters.
func sungLetters(words []providers.Word, seconds float64) []sungLetter {
	words = usable(words, songSeconds(seconds, words))
	var text strings.Builder
	var unitOf []int // by byte
	for i, w := range words {
		text.WriteString(w.Text)
		for range len(w.Text) {
			unitOf = append(unitOf, i)
		}
	}
	all := []byte(text.String())
	for _, tag := range tags.FindAllIndex(all, -1) {
		for i := tag[0]; i < tag[1]; i++ {
			all[i] = ' ' // keeps the places of all else
		}
	}
	var out []sungLetter
	for i, r := range string(all) {
		for _, c := range singable(string(r)) {
			out = append(out, sungLetter{r: c, unit: unitOf[i]})
		}
	}
	out = out[:min(len(out), maxLetters)]
	spread(out, words)
	return out
}

// spread gives the letters of each unit equal shares of its time. A unit that lasts
// implausibly long (it was aligned over an interlude) counts only as long as it can be sung.
func spread(letters []sungLetter, words []providers.Word) {
	for i := 0; i < len(letters); {
		j := i
		for j < len(letters) && letters[j].unit == letters[i].unit {
			j++
		}
		w := words[letters[i].unit]
		n := float64(j - i)
		each := min(w.End-w.Start, max(2, 0.9*n)) / n
		for k := i; k < j; k++ {
			letters[k].start = w.Start + float64(k-i)*each
			letters[k].end = letters[k].start + each
		}
		i = j
	}
}

// usable mends the units' times and drops those that stand outside the order of the rest.
func usable(words []providers.Word, seconds float64) []providers.Word {
	var out []providers.Word
	for _, w := range words[:min(len(words), maxUnits)] {
		if !finite(w.Start) || w.Start < 0 || w.Start > seconds {
			continue
		}
		if !finite(w.End) || w.End < w.Start {
			w.End = w.Start
		}
		w.End = min(w.End, seconds)
		w.Text = strings.ToValidUTF8(w.Text, "")
		out = append(out, w)
	}
	return inOrder(out)
}

// inOrder keeps the longest run of units whose starts don't fall (patience sorting): one
// unit that is wrong by a minute must not drag the others along.
func inOrder(words []providers.Word) []providers.Word {
	var ends []int                    // index of the last unit of the best run of each length
	before := make([]int, len(words)) // the unit before in the run
	for i, w := range words {
		at, _ := slices.BinarySearchFunc(ends, w.Start, func(e int, start float64) int {
			if words[e].Start <= start {
				return -1
			}
			return cmp.Compare(words[e].Start, start)
		})
		before[i] = -1
		if at > 0 {
			before[i] = ends[at-1]
		}
		if at == len(ends) {
			ends = append(ends, i)
		} else {
			ends[at] = i
		}
	}
	if len(ends) == 0 {
		return nil
	}
	keep := make([]providers.Word, 0, len(ends))
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		keep = append(keep, words[i])
	}
	slices.Reverse(keep)
	return keep
}

// songSeconds falls back on the last unit's end where the song's length isn't known.
func songSeconds(seconds float64, words []providers.Word) float64 {
	if finite(seconds) && seconds > 0 {
		return seconds
	}
	last := 0.0
	for _, w := range words {
		if finite(w.End) && w.End < 24*60*60 {
			last = max(last, w.End)
		}
	}
	return last
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// singable keeps what survives a singer's spelling: letters and digits, in one case.
func singable(s string) []rune {
	var out []rune
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			out = append(out, unicode.ToLower(r))
		}
	}
	return out
}

// match aligns our letters with the sung ones as a whole (Needleman and Wunsch), so that a
// line sung twice is found both times, in order. It returns, for each of ours, the index of its counterpart or -1.
func match(wanted []letter, sung []sungLetter) []int {
	found := make([]int, len(wanted))
	for i := range found {
		found[i] = -1
	}
	if len(wanted) > maxLetters || len(sung) == 0 {
		return found
	}
	width := len(sung) + 1
	steps := make([]byte, (len(wanted)+1)*width)
	fill(steps, wanted, sung, width)
	for i, j := len(wanted), len(sung); i > 0 && j > 0; {
		switch steps[i*width+j] {
		case same:
			i, j = i-1, j-1
			found[i] = j
		case other:
			i, j = i-1, j-1
		case skipOurs:
			i--
		default:
			j--
		}
	}
	return found
}

const (
	skipSung byte = iota
	skipOurs
	other
	same
)

func fill(steps []byte, wanted []letter, sung []sungLetter, width int) {
	above, row := make([]int32, width), make([]int32, width)
	for j := range above {
		above[j] = -int32(j)
	}
	for i := 1; i <= len(wanted); i++ {
		row[0] = -int32(i)
		for j := 1; j < width; j++ {
			score, step := above[j-1]-1, other
			if wanted[i-1].r == sung[j-1].r {
				score, step = above[j-1]+3, same
			}
			if s := above[j] - 1; s > score {
				score, step = s, skipOurs
			}
			if s := row[j-1] - 1; s > score {
				score, step = s, skipSung
			}
			row[j], steps[i*width+j] = score, step
		}
		above, row = row, above
	}
}
