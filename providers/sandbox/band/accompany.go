package band

import "math/rand/v2"

// General MIDI percussion keys used besides a groove's own.
const (
	kickKey  = 36
	crashKey = 49
)

// accompany writes all parts but the tune: they follow the form bar by bar. In an
// instrumental it makes up a tune too.
func accompany(f form, m mood, tune []note, r *rand.Rand) []note {
	bars := f.bars()
	b := backing{form: f, mood: m, random: r, harmony: harmony(bars, m)}
	for i, bar := range bars {
		b.bar, b.now, b.full = i, bar, bar.section == chorus || bar.section == interlude
		if bar.section == tail {
			b.finish()
			continue
		}
		b.hold()
		b.comp()
		b.pluck()
		b.walk()
		b.beat()
	}
	b.secondVoice(tune)
	if len(f.lines) == 0 {
		b.instrumental()
	}
	return b.out
}

// backing is the accompaniment while it is being written.
type backing struct {
	form    form
	mood    mood
	random  *rand.Rand // small differences of strength
	harmony []chord
	bar     int
	now     bar
	full    bool // a full part of the song, not a calm one
	out     []note
}

// play adds a note at a step of the bar, for that many steps.
func (b *backing) play(p part, step, steps, key, velocity int) {
	step += b.bar * stepsPerBar
	at := b.form.at(step, b.mood.swing)
	b.out = append(b.out, note{part: p, at: at, seconds: b.form.at(step+steps, b.mood.swing) - at,
		key: key, velocity: min(max(velocity+b.random.IntN(7)-3, 1), 127), vowel: 'o'})
}

func (b *backing) chord() chord { return b.harmony[b.bar] }

// pick takes the groove's pattern for this part of the song.
func (b *backing) pick(calm, full string) string {
	if b.full {
		return full
	}
	return calm
}

// hold plays the pad: nothing in the intro's first bar, fuller in the chorus.
func (b *backing) hold() {
	if b.now.section == intro && b.now.place == 0 {
		return
	}
	velocity := 62
	if b.full {
		velocity = 84
	}
	for _, key := range b.chord().voicing(b.mood.tonic, 55) {
		b.play(pad, 0, stepsPerBar, key, velocity)
	}
}

// comp plays the chords; on a guitar the strings sound one after the other.
func (b *backing) comp() {
	pattern := b.pick(b.mood.groove.comp, b.mood.groove.fullComp)
	tones := b.chord().voicing(b.mood.tonic, 57)
	if b.mood.sounds[keys].voice == guitar {
		tones = append(tones, tones[0]+12)
	}
	for step, stroke := range pattern {
		if stroke == '.' {
			continue
		}
		first := len(b.out)
		for _, key := range tones {
			b.play(keys, step, untilNext(pattern, step), key, strokeVelocity(stroke))
		}
		if b.mood.sounds[keys].voice == guitar {
			strum(b.out[first:], step%4 != 0)
		}
	}
}

// strumSeconds is the time between two strings of a strummed chord.
const strumSeconds = 0.012

// strum spreads the notes of a chord, from the highest when the hand moves up.
func strum(chord []note, up bool) {
	for i := range chord {
		turn := i
		if up {
			turn = len(chord) - 1 - i
		}
		chord[i].at += float64(turn) * strumSeconds
	}
}

// pluck breaks the chord into eighths.
func (b *backing) pluck() {
	tones := b.chord().voicing(b.mood.tonic, 64)
	tones = append(tones, tones[0]+12)
	for i, tone := range b.mood.groove.arpeggio {
		if tone < 0 {
			continue
		}
		velocity := 66
		if b.full {
			velocity = 78
		}
		if i%4 == 0 {
			velocity += 10
		}
		b.play(plucked, 2*i, 3, tones[tone%len(tones)], velocity)
	}
}

// walk plays the bass, which waits until the first word.
func (b *backing) walk() {
	if b.now.section == intro {
		return
	}
	root := 33 + wrap(b.mood.tonic+b.chord()[0]-33)
	pattern := b.pick(b.mood.groove.bass, b.mood.groove.fullBass)
	for step, tone := range pattern {
		up, plays := map[rune]int{'1': 0, '5': 7, '8': 12}[tone]
		if plays {
			b.play(bass, step, untilNext(pattern, step), root+up, 92)
		}
	}
}

// beat plays the drums: a fill leads into the next part, a crash opens a chorus.
func (b *backing) beat() {
	g := b.mood.groove
	if b.now.section == intro {
		if b.now.last {
			b.drum(g.hat, g.hatKey, 70)
		}
		return
	}
	b.drum(b.pick(g.kick, g.fullKick), kickKey, 104)
	b.drum(b.pick(g.hat, g.fullHat), g.hatKey, 74)
	snare := b.pick(g.snare, g.fullSnare)
	if b.now.last && b.full {
		snare = snare[:12] + "oxox"
	}
	b.drum(snare, g.snareKey, 96)
	if b.now.section == chorus && b.now.place == 0 {
		b.play(drums, 0, 8, crashKey, 76)
	}
}

func (b *backing) drum(pattern string, key, velocity int) {
	for step, stroke := range pattern {
		switch stroke {
		case 'x':
			b.play(drums, step, 1, key, velocity)
		case 'o':
			b.play(drums, step, 1, key, velocity*2/3)
		}
	}
}

// finish plays the last chord of the song.
func (b *backing) finish() {
	tones := b.chord().voicing(b.mood.tonic, 57)
	for _, key := range tones {
		b.play(keys, 0, stepsPerBar, key, 80)
		b.play(pad, 0, stepsPerBar, key, 66)
	}
	for i, key := range append(tones, tones[0]+12) {
		b.play(plucked, 2*i, stepsPerBar-2*i, key+12, 70)
	}
	b.play(bass, 0, stepsPerBar, 33+wrap(b.mood.tonic+b.chord()[0]-33), 88)
	b.play(drums, 0, 1, kickKey, 84)
}

// secondVoice sings the chorus along, a chord tone below the tune.
func (b *backing) secondVoice(tune []note) {
	bars := b.form.bars()
	for _, n := range tune {
		i := min(int(n.at/b.form.barSeconds()), len(bars)-1)
		if bars[i].section != chorus {
			continue
		}
		n.part = double
		n.key = nearest(b.harmony[i][:3], b.mood.tonic, n.key-4)
		b.out = append(b.out, n)
	}
}

// instrumental plays the tune that nobody sings: a few long notes over each bar.
func (b *backing) instrumental() {
	m := newMotif(b.random)
	key := 70
	for b.bar = b.form.introBars; b.bar < len(b.harmony)-1; b.bar++ {
		for i, step := range []int{0, 6, 8, 12} {
			move := m.moves[(4*(b.bar%4)+i)%len(m.moves)]
			if i > 0 && move == 0 {
				continue
			}
			tones := pentatonic
			if step%8 == 0 {
				tones = b.chord()[:3]
			}
			key = nearest(tones, b.mood.tonic, min(max(key+move, 64), 78))
			b.play(lead, step, 4, key, 86)
		}
	}
}

// untilNext counts the steps from one stroke of a pattern to the next or the bar's end.
func untilNext(pattern string, step int) int {
	n := 1
	for step+n < len(pattern) && pattern[step+n] == '.' {
		n++
	}
	return n
}

func strokeVelocity(stroke rune) int {
	if stroke == 'x' {
		return 84
	}
	return 64
}
