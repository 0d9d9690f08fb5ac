package band

import "math/rand/v2"

// part is a player of the band.
type part uint8

const (
	lead    part = iota // sings the words
	double              // a second voice in the chorus
	keys                // chords
	plucked             // broken chords
	pad                 // held chords
	bass
	drums
	parts
)

// note is one note of the score; key and velocity are MIDI's, for drums key is a percussion key.
type note struct {
	part     part
	at       float64 // seconds from the start
	seconds  float64
	key      int
	velocity int
	vowel    byte // of the voices
}

func (n note) end() float64 { return n.at + n.seconds }

// wordGap is the silence between two words, in seconds, that keeps them apart to the ear.
const wordGap = 0.02

// singer range, as MIDI keys: what a woman and a flute have in common.
const (
	lowestKey  = 58
	highestKey = 79
)

// sing writes the tune: one note for each syllable, line by line. Every other line of a
// section has the same rhythm of thought: its contour comes from the same motif.
func sing(f form, m mood, r *rand.Rand) []note {
	bars := f.bars()
	harmony := harmony(bars, m)
	motifs := [tail + 1][2]motif{}
	for s := range motifs {
		motifs[s] = [2]motif{newMotif(r), newMotif(r)}
	}
	var tune []note
	for i, b := range bars {
		if b.line < 0 {
			continue
		}
		l := f.lines[b.line]
		p := phrase{form: f, mood: m, harmony: harmony, bar: i, line: l, steps: f.lineBars[b.line] * stepsPerBar}
		p.final = b.line+1 == len(f.lines) || f.lines[b.line+1].section != l.section
		tune = append(tune, p.notes(motifs[l.section][b.line%2])...)
	}
	return tune
}

// motif is the seed of a phrase: where it starts around the middle of its section's range
// and how it moves, in half tones a note.
type motif struct {
	start  int
	moves  [11]int
	offset int // steps by which the phrase comes in late
}

func newMotif(r *rand.Rand) motif {
	m := motif{start: r.IntN(7) - 3, offset: []int{0, 0, 1, 2}[r.IntN(4)]}
	usual := []int{0, 0, 2, 2, 3, -2, -2, -3, -2, 4, -5}
	for i := range m.moves {
		m.moves[i] = usual[r.IntN(len(usual))]
	}
	return m
}

// phrase is one line about to be sung.
type phrase struct {
	form    form
	mood    mood
	harmony []chord
	bar     int // where it begins
	line    line
	steps   int
	final   bool // the section's last
}

func (p phrase) notes(m motif) []note {
	durations, offset := rhythm(p.line.units, p.steps, m.offset)
	key := p.middle() + m.start
	step, i := p.bar*stepsPerBar+offset, 0
	var out []note
	for _, u := range p.line.units {
		for k, vowel := range u.vowels {
			d := durations[i]
			key = p.next(key, m.moves[i%len(m.moves)], step, d, i == len(durations)-1)
			n := note{part: lead, at: p.form.at(step, p.mood.swing), key: key, velocity: p.strength(step), vowel: vowel}
			n.seconds = p.form.at(step+d, p.mood.swing) - n.at
			if k == len(u.vowels)-1 {
				n.seconds -= min(wordGap, n.seconds/4)
			}
			out = append(out, n)
			step += d
			i++
		}
	}
	return out
}

// middle is the key around which a section is sung: the chorus lies higher.
func (p phrase) middle() int {
	switch p.line.section {
	case chorus:
		return 71
	case outro:
		return 65
	default:
		return 66
	}
}

// next finds the key of a note: chord tones where the ear looks for them, the pentatonic
// scale between, and never far from the note before or from the section's range.
func (p phrase) next(from, move, step, duration int, last bool) int {
	if (from > p.middle()+6 && move > 0) || (from < p.middle()-6 && move < 0) {
		move = -move
	}
	want := min(max(from+move, lowestKey), highestKey)
	c := p.harmony[min(step/stepsPerBar, len(p.harmony)-1)]
	switch {
	case last && p.final:
		return nearest(c[:1], p.mood.tonic, want)
	case last || step%8 == 0 || duration >= 4:
		return nearest(c[:3], p.mood.tonic, want)
	default:
		return nearest(pentatonic, p.mood.tonic, want)
	}
}

func (p phrase) strength(step int) int {
	v := 84
	if p.line.section == chorus {
		v = 98
	}
	if step%4 == 0 {
		v += 8
	}
	return v
}

// rhythm shares the steps of a line among its syllables and says how late it begins. Notes
// are even eighths or sixteenths as far as they fit; what is left lengthens the last note,
// then the words' ends. A breath stays free at the end.
func rhythm(units []unit, steps, offset int) (durations []int, late int) {
	n := line{units: units}.syllables()
	room := steps - steps/8
	if n+offset > room {
		offset = 0
	}
	room -= offset
	base := min(room/n, 6)
	if base > 2 {
		base &^= 1
	}
	durations = make([]int, n)
	for i := range durations {
		durations[i] = base
	}
	left := room - base*n
	longer := min(left, 6)
	if base == 1 {
		longer = min(left, 3)
	}
	durations[n-1] += longer
	left -= longer
	lengthenWords(durations, units, min(2, max(base, 1)), left)
	return durations, offset
}

// lengthenWords adds to the words' last notes, from the first word on, while steps are left.
func lengthenWords(durations []int, units []unit, by, left int) {
	end := -1
	for _, u := range units {
		end += len(u.vowels)
		if end == len(durations)-1 || left < by {
			return
		}
		durations[end] += by
		left -= by
	}
}
