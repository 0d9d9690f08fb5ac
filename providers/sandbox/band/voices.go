package band

import (
	"math"
	"math/rand/v2"
)

// voice is an instrument of the built-in synthesiser.
type voice uint8

const (
	singer    voice = iota // sung vowels by formants
	flute                  // few harmonics, breath, vibrato
	grand                  // struck string, dark when soft
	electric               // electric piano by frequency modulation
	bell                   // vibraphone by frequency modulation
	guitar                 // plucked string after Karplus and Strong
	ensemble               // slow, detuned, bright
	warmPad                // slow, detuned, dark
	roundBass              // plucked, nearly a sine
	kit                    // drums, see drums.go
)

const rate = 48000 // samples a second

// wave is one turn of a sound, with its first sample again at the end; phases are in turns.
type wave [tableSize + 1]float32

const tableSize = 2048

// at reads the wave at a phase of 0..1, between samples in a straight line.
func (w *wave) at(phase float64) float64 {
	x := phase * tableSize
	i := int(x)
	a, b := float64(w[i]), float64(w[i+1])
	return a + (b-a)*(x-float64(i))
}

// newWave adds harmonics, whose levels are given from the first on, with spread phases.
func newWave(levels []float64) *wave {
	w := new(wave)
	for k, level := range levels {
		if level == 0 {
			continue
		}
		turn, start := 2*math.Pi*float64(k+1)/tableSize, 2.4*float64(k*k)
		for i := range w {
			w[i] += float32(level * math.Sin(start+turn*float64(i)))
		}
	}
	return w
}

// player renders single notes to mono.
type player struct {
	sine, soft, hard, deep *wave
	vowels                 map[vowelKey]*wave
	pads                   map[int]*wave // by their number of harmonics
	random                 *rand.Rand
	before                 note // that was sung last, to glide from
}

func newPlayer(seed uint64) *player {
	return &player{
		sine:   newWave([]float64{1}),
		soft:   newWave([]float64{1, 0.35, 0.12, 0.04}),
		hard:   newWave([]float64{0.3, 0.5, 0.45, 0.3, 0.22, 0.15, 0.08, 0.05}),
		deep:   newWave([]float64{0.9, 0.32, 0.1, 0.03}),
		vowels: map[vowelKey]*wave{}, pads: map[int]*wave{},
		random: rand.New(rand.NewPCG(seed, 1)),
	}
}

// render returns the note's sound, its ringing after the note's end included, at about
// full scale for a strong note.
func (p *player) render(v voice, n note) []float64 {
	strength := float64(n.velocity) / 127
	hz := 440 * math.Pow(2, float64(n.key-69)/12)
	var out []float64
	switch v {
	case singer:
		out = p.sung(n, hz, vowelWave(n.vowel, hz), 0.03)
	case flute:
		out = p.sung(n, hz, fluteLevels, 0.12)
	case grand:
		out = p.struck(n, hz, strength)
	case electric:
		out = p.modulated(n, hz, tone{ratio: 1, index: 0.4 + 1.3*strength, chime: 0.18, decay: 1.6})
	case bell:
		out = p.modulated(n, hz, tone{ratio: 4, index: 0.8 * strength, decay: 1.1, rings: true})
	case guitar:
		out = p.string(n, hz, strength)
	case ensemble:
		out = p.held(n, hz, 14)
	case warmPad:
		out = p.held(n, hz, 6)
	case roundBass:
		out = p.low(n, hz)
	}
	for i := range out {
		out[i] *= strength * strength
	}
	return out
}

func samples(seconds float64) int { return int(seconds * rate) }

// envelope shapes a sound in place: it rises over attack, and fades over release after hold
// (all in seconds), both without corners.
func envelope(out []float64, attack, hold, release float64) {
	a, h, r := samples(attack), samples(hold), samples(release)
	for i := range min(a, len(out)) {
		out[i] *= smooth(float64(i) / float64(a))
	}
	for i := h; i < len(out); i++ {
		out[i] *= smooth(1 - float64(i-h)/float64(r))
	}
}

// smooth eases 0..1.
func smooth(x float64) float64 {
	x = min(max(x, 0), 1)
	return x * x * (3 - 2*x)
}

// tone says how a modulated note sounds.
type tone struct {
	ratio float64 // of the modulator's frequency to the note's
	index float64 // depth of modulation at the start
	chime float64 // a short high partial
	decay float64 // seconds to about a third
	rings bool    // not damped at the note's end
}

// modulated is frequency modulation with one operator: electric pianos and bells.
func (p *player) modulated(n note, hz float64, t tone) []float64 {
	hold := n.seconds
	if t.rings {
		hold += 1
	}
	out := make([]float64, samples(hold+0.25))
	fade, dull := math.Exp(-1/(t.decay*rate)), math.Exp(-1/(0.45*t.decay*rate))
	ping := math.Exp(-1 / (0.06 * rate))
	level, index, chime := 0.55, t.index/(2*math.Pi), t.chime
	step := hz / rate
	var carrier, modulator, high float64
	for i := range out {
		m := p.sine.at(modulator) * index
		out[i] = level * (p.sine.at(turn(carrier+m)) + chime*p.sine.at(high))
		carrier, modulator, high = turn(carrier+step), turn(modulator+step*t.ratio), turn(high+step*7)
		level, index, chime = level*fade, index*dull, chime*ping
	}
	envelope(out, 0.003, hold, 0.25)
	return out
}

// turn keeps a phase within 0..1.
func turn(x float64) float64 { return x - math.Floor(x) }

// struck is a piano: two slightly apart strings, whose high partials die first.
func (p *player) struck(n note, hz, strength float64) []float64 {
	out := make([]float64, samples(n.seconds+0.35))
	fade := math.Exp(-hz / (520 * rate))
	dull := math.Exp(-1 / (0.25 * rate))
	level, edge := 0.42, 0.25+0.5*strength
	a, b := 0.0, 0.37
	for i := range out {
		out[i] = level * (p.soft.at(a) + p.soft.at(b) + edge*(p.hard.at(a)+p.hard.at(b)))
		a, b = turn(a+hz/rate), turn(b+hz*1.0008/rate)
		level, edge = level*fade, edge*dull
	}
	envelope(out, 0.002, n.seconds, 0.35)
	return out
}

// string is a plucked string: noise that runs round a loop one period long and loses its
// edge on the way.
func (p *player) string(n note, hz, strength float64) []float64 {
	out := make([]float64, samples(max(n.seconds, 0.5)+0.4))
	period := rate/hz - 0.5
	loop := p.excite(int(period)+1, strength)
	part := period - math.Floor(period)
	keep := math.Pow(0.001, 1/(hz*3.2)) // 60 dB in 3.2 s
	var held float64
	for i := range out {
		k, next := i%len(loop), (i+1)%len(loop)
		v := loop[k]*part + loop[next]*(1-part)
		out[i] = v
		held, loop[k] = v, keep*(0.5*v+0.5*held)
	}
	envelope(out, 0.001, max(n.seconds, 0.5), 0.4)
	return out
}

// excite is the shape of the string when it is let go: smoothed noise without an offset.
func (p *player) excite(length int, strength float64) []float64 {
	loop := make([]float64, length)
	var last, sum float64
	for i := range loop {
		last += (0.25 + 0.5*strength) * (p.random.Float64()*2 - 1 - last)
		loop[i] = 1.6 * last
		sum += loop[i]
	}
	for i := range loop {
		loop[i] -= sum / float64(length)
	}
	return loop
}

// held is a pad of three oscillators a little out of tune.
func (p *player) held(n note, hz float64, harmonics int) []float64 {
	const attack, release = 0.45, 0.9
	w := p.padWave(min(harmonics, int(9000/hz)))
	out := make([]float64, samples(n.seconds+release))
	for _, detune := range []float64{0.9965, 1.0004, 1.0041} {
		phase, step := p.random.Float64(), hz*detune/rate
		for i := range out {
			out[i] += w.at(phase)
			phase = turn(phase + step)
		}
	}
	envelope(out, min(attack, n.seconds/2), n.seconds, release)
	return out
}

func (p *player) padWave(harmonics int) *wave {
	if p.pads[harmonics] == nil {
		levels := make([]float64, harmonics)
		for k := range levels {
			levels[k] = 0.3 * math.Pow(float64(k+1), -1.35)
		}
		p.pads[harmonics] = newWave(levels)
	}
	return p.pads[harmonics]
}

// low is the bass.
func (p *player) low(n note, hz float64) []float64 {
	out := make([]float64, samples(n.seconds+0.06))
	fade := math.Exp(-1 / (1.1 * rate))
	level, phase := 0.8, 0.0
	for i := range out {
		v := level * p.deep.at(phase)
		out[i] = v / (1 + 0.3*math.Abs(v)) // rounds the tops, and so can be heard on small speakers
		phase, level = turn(phase+hz/rate), level*fade
	}
	envelope(out, 0.006, n.seconds*0.95, 0.06)
	return out
}
