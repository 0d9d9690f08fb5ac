// Package align puts a song's own lyric lines on the clock.
//
// A song maker says when what it sang was sung, in units of its own: words, syllables,
// whole lines, with section tags between or inside them. TimeLines finds our lines in
// that. It reads no audio: what wasn't sung can only be estimated.
package align

import (
	"strings"

	"castad/providers"
)

// fewest is the share of a line's letters that have to be found for its time to count as known.
const fewest = 0.4

// TimeLines gives each line of lyrics its time in a song of that many seconds. All lines
// come back, in order, with 0 ≤ Start ≤ End ≤ seconds and no line starting before the one
// before it has ended. Where no unit fits, the time is estimated evenly from the
// neighbours'. Words are filled in where the units are fine enough to know them.
//
// score, 0 to 1, is the share of the letters that were found among the units: above 0.8
// the times are as good as the units, below 0.5 they are mostly estimates.
func TimeLines(lines []string, words []providers.Word, seconds float64) (timed []providers.Line, score float64) {
	timed = make([]providers.Line, len(lines))
	sung := sungLetters(words, seconds)
	if seconds = songSeconds(seconds, words); seconds <= 0 || len(lines) == 0 {
		for i, text := range lines {
			timed[i].Text = text
		}
		return timed, 0
	}
	wanted := lineLetters(lines)
	found := match(wanted, sung)
	spans, score := lineSpans(lines, wanted, found, sung)
	estimate(spans, seconds)
	settle(spans, seconds)
	for i, text := range lines {
		timed[i] = providers.Line{Text: text, Start: spans[i].start, End: spans[i].end}
	}
	addWords(timed, wanted, found, sung)
	return timed, score
}

// span is one line's time while it is being worked out.
type span struct {
	start, end float64
	known      bool
	weight     float64 // how much there is to sing: letters, at least 1
}

// letter is one rune of our lyrics that can be compared.
type letter struct {
	r          rune
	line, word int // word: the line's field that it belongs to
}

func lineLetters(lines []string) []letter {
	var out []letter
	for i, text := range lines {
		for w, word := range strings.Fields(text) {
			for _, r := range singable(word) {
				out = append(out, letter{r: r, line: i, word: w})
			}
		}
	}
	return out
}

// lineSpans takes each line's time from its letters that were found, and says how many were.
func lineSpans(lines []string, wanted []letter, found []int, sung []sungLetter) ([]span, float64) {
	spans := make([]span, len(lines))
	hits := make([]int, len(lines))
	total := 0
	for i, l := range wanted {
		s := &spans[l.line]
		s.weight++
		if found[i] < 0 {
			continue
		}
		at := sung[found[i]]
		if hits[l.line] == 0 {
			s.start, s.end = at.start, at.end
		}
		s.start, s.end = min(s.start, at.start), max(s.end, at.end)
		hits[l.line]++
		total++
	}
	for i := range spans {
		spans[i].known = spans[i].weight > 0 && float64(hits[i]) >= fewest*spans[i].weight
		spans[i].weight = max(spans[i].weight, 1)
	}
	return spans, float64(total) / float64(max(len(wanted), 1))
}

// estimate spreads each run of unknown lines over the time between its known neighbours.
func estimate(spans []span, seconds float64) {
	for i := 0; i < len(spans); {
		j, weight := i, 0.0
		for ; j < len(spans) && !spans[j].known; j++ {
			weight += spans[j].weight
		}
		if i == j {
			i++
			continue
		}
		from, to := gap(spans, i, j, weight, seconds)
		for ; i < j; i++ {
			share := (to - from) * spans[i].weight / weight
			spans[i].start, spans[i].end = from, from+share
			from, weight = from+share, weight-spans[i].weight
		}
	}
}

// gap is the time for lines i to j-1. Before the first known line they take no longer than
// singing takes; with no known line at all an intro and an ending are left free.
func gap(spans []span, i, j int, weight, seconds float64) (from, to float64) {
	const slowest = 0.5 // seconds a letter
	switch {
	case i == 0 && j == len(spans):
		return 0.08 * seconds, 0.95 * seconds
	case i == 0:
		to = spans[j].start
		return max(0, to-slowest*weight), to
	case j == len(spans):
		from = spans[i-1].end
		return from, min(seconds, from+slowest*weight)
	}
	from = spans[i-1].end
	return from, max(from, spans[j].start)
}

// settle makes the spans monotone and keeps them within the song; a line that runs into the next one ends there.
func settle(spans []span, seconds float64) {
	last := 0.0
	for i := range spans {
		s := &spans[i]
		s.start = min(max(s.start, last), seconds)
		s.end = min(max(s.end, s.start), seconds)
		if i+1 < len(spans) && spans[i+1].start < s.end {
			s.end = max(s.start, spans[i+1].start)
		}
		last = s.end
	}
}

// addWords times a line's words where each has a letter found and the units were no coarser than words.
func addWords(timed []providers.Line, wanted []letter, found []int, sung []sungLetter) {
	times := make([][]*providers.Word, len(timed))
	units := make([]map[int]bool, len(timed))
	for i := range timed {
		times[i] = make([]*providers.Word, len(strings.Fields(timed[i].Text)))
		units[i] = map[int]bool{}
	}
	for i, l := range wanted {
		if found[i] < 0 {
			continue
		}
		at := sung[found[i]]
		units[l.line][at.unit] = true
		if w := times[l.line][l.word]; w == nil {
			times[l.line][l.word] = &providers.Word{Start: at.start, End: at.end}
		} else {
			w.Start, w.End = min(w.Start, at.start), max(w.End, at.end)
		}
	}
	for i := range timed {
		if len(times[i]) > 1 && len(units[i]) >= len(times[i]) {
			timed[i].Words = wordsOf(timed[i], times[i])
		}
	}
}

// wordsOf is nil unless all words have a time; they stay in order and within their line.
func wordsOf(line providers.Line, times []*providers.Word) []providers.Word {
	texts := strings.Fields(line.Text)
	out := make([]providers.Word, len(texts))
	last := line.Start
	for i, t := range times {
		if t == nil {
			return nil
		}
		start := min(max(t.Start, last), line.End)
		end := min(max(t.End, start), line.End)
		out[i] = providers.Word{Text: texts[i], Start: start, End: end}
		last = end
	}
	return out
}
