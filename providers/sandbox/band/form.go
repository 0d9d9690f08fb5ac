package band

import "slices"

const (
	stepsPerBar  = 16 // sixteenths: all music here is in four
	wantSeconds  = 60 // of a song with enough lines for it
	leastSeconds = 20
	plainSeconds = 30 // of an instrumental
	tempoSlack   = 0.06
	fullSong     = 9  // lines; from here on the length is brought near wantSeconds
	barSyllables = 13 // more than that in a bar can't be sung
)

// form is the song's shape: its tempo and what each bar is for.
type form struct {
	bpm       float64
	introBars int
	breakBars int // before the first chorus
	tailBars  int
	lines     []line
	lineBars  []int // bars of each line
}

// bar is one bar of a form. line is the index of the line that begins in it, or -1.
type bar struct {
	section section
	line    int
	place   int // bars since its section began
	last    bool
}

// plan shapes the song around its lines: two bars each, more where a line is too long to be
// sung in two, and as much without words as the wanted length asks for.
func plan(lines []line, bpm float64) form {
	f := form{bpm: bpm, introBars: 1, tailBars: 1, lines: lines}
	for _, l := range lines {
		f.lineBars = append(f.lineBars, max(2, (l.syllables()+barSyllables-1)/barSyllables))
	}
	switch {
	case len(lines) == 0:
		f.grow(plainSeconds - f.barSeconds()/2)
		f.fitTempo(plainSeconds)
	case len(lines) < fullSong:
		f.introBars = 2
		f.grow(leastSeconds)
	default:
		f.grow(wantSeconds - f.barSeconds()/2)
		f.shrink(wantSeconds * (1 + tempoSlack))
		f.fitTempo(wantSeconds)
	}
	return f
}

// grow adds bars without words until the song lasts that long.
func (f *form) grow(seconds float64) {
	for turn := 0; f.seconds() < seconds; turn++ {
		switch {
		case turn%3 == 0 && f.introBars < 2:
			f.introBars++
		case turn%3 == 1 && f.breakBars < 2 && len(f.lines) > 0:
			f.breakBars++
		default:
			f.tailBars++
		}
	}
}

// shrink gives short lines, those of the outro first, one bar instead of two.
func (f *form) shrink(seconds float64) {
	order := make([]int, len(f.lines))
	cost := make([]int, len(f.lines))
	for i, l := range f.lines {
		order[i], cost[i] = i, l.syllables()
		if l.section == outro {
			cost[i] -= 4
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cost[a] - cost[b] })
	for _, i := range order[:len(order)/3] {
		if f.seconds() > seconds && f.lines[i].syllables() <= barSyllables {
			f.lineBars[i] = 1
		}
	}
}

// fitTempo bends the tempo a little towards the wanted length.
func (f *form) fitTempo(seconds float64) {
	exact := f.bpm * f.seconds() / seconds
	f.bpm = min(max(exact, f.bpm*(1-tempoSlack)), f.bpm*(1+tempoSlack))
}

func (f *form) barSeconds() float64 { return 4 * 60 / f.bpm }

func (f *form) seconds() float64 {
	bars := f.introBars + f.breakBars + f.tailBars
	for _, n := range f.lineBars {
		bars += n
	}
	return float64(bars) * f.barSeconds()
}

// at returns when a step of the song is played, in seconds. swing delays the second
// eighth of each beat, as a share of an eighth.
func (f *form) at(step int, swing float64) float64 {
	s := float64(step)
	switch step % 4 {
	case 1, 3:
		s += swing
	case 2:
		s += 2 * swing
	}
	return s * f.barSeconds() / stepsPerBar
}

// bars lists the song bar by bar.
func (f *form) bars() []bar {
	var out []bar
	add := func(n int, s section, line int) {
		for i := range n {
			b := bar{section: s, line: -1}
			if i == 0 {
				b.line = line
			}
			if len(out) > 0 && out[len(out)-1].section == s {
				b.place = out[len(out)-1].place + 1
			}
			out = append(out, b)
		}
	}
	add(f.introBars, intro, -1)
	rested := false
	for i, l := range f.lines {
		if !rested && (l.section == chorus && i > 0 || i == len(f.lines)-1) {
			add(f.breakBars, interlude, -1)
			rested = true
		}
		add(f.lineBars[i], l.section, i)
	}
	add(f.tailBars, f.tailSection(), -1)
	out[len(out)-1].section = tail // the final chord
	for i := range out {
		out[i].last = i+1 == len(out) || out[i+1].section != out[i].section
	}
	return out
}

// tailSection is what the band plays after the words: an instrumental is nothing but that.
func (f *form) tailSection() section {
	if len(f.lines) == 0 {
		return chorus
	}
	return interlude
}
