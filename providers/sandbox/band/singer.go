package band

import "math"

// vowelKey names a wave: the same vowel sounds different at another pitch, because the
// formants stay where they are.
type vowelKey struct {
	vowel byte
	key   int
}

// formant is a resonance of the mouth.
type formant struct{ hz, width, level float64 }

// formants are a woman's, rounded from the usual tables of sung vowels.
var formants = map[byte][]formant{
	'a': {{800, 170, 1}, {1150, 190, 0.55}, {2900, 320, 0.18}},
	'e': {{480, 140, 1}, {1900, 240, 0.32}, {2800, 320, 0.18}},
	'i': {{330, 130, 1}, {2400, 280, 0.22}, {3000, 340, 0.16}},
	'o': {{470, 150, 1}, {850, 170, 0.55}, {2800, 320, 0.10}},
	'u': {{360, 130, 1}, {780, 160, 0.30}, {2700, 320, 0.07}},
}

// vowelWave returns the levels of a vowel's harmonics at a pitch.
func vowelWave(vowel byte, hz float64) []float64 {
	levels := make([]float64, min(28, int(7000/hz)))
	var power float64
	for k := range levels {
		f := hz * float64(k+1)
		gain := 0.06
		for _, r := range formants[vowel] {
			d := (f - r.hz) / (r.width + 0.35*hz) // wider when the harmonics are far apart, or vowels would vanish
			gain += r.level / (1 + d*d)
		}
		levels[k] = gain * math.Pow(float64(k+1), -0.75)
		power += levels[k] * levels[k]
	}
	scale := 0.55 / math.Sqrt(power)
	for k := range levels {
		levels[k] *= scale
	}
	return levels
}

// fluteLevels are the harmonics of a flute-like tone.
var fluteLevels = []float64{0.62, 0.26, 0.10, 0.035, 0.012}

const (
	glideSeconds   = 0.055 // from the note before, when there is no breath between
	vibratoHz      = 5.3
	vibratoDelay   = 0.25 // seconds: short notes have none
	vibratoDepth   = 0.0045
	singingAttack  = 0.035
	singingRelease = 0.09
)

// sung is a voice or flute with the given harmonics: it glides into the note, lets vibrato
// come in on long ones, and has some breath (0..1) in it.
func (p *player) sung(n note, hz float64, levels []float64, breath float64) []float64 {
	w := p.wave(vowelKey{n.vowel, n.key + len(levels)<<8}, levels)
	out := make([]float64, samples(n.seconds+singingRelease))
	from := p.glideFrom(n, hz)
	var phase, vibrato, air float64
	for i := range out {
		t := float64(i) / rate
		bend := from * (1 - smooth(t/glideSeconds))
		depth := vibratoDepth * smooth((t-vibratoDelay)/0.4)
		f := hz * (1 + bend + depth*p.sine.at(vibrato))
		noise := p.random.Float64()*2 - 1
		air += 0.35 * (noise - air)
		swell := 0.88 + 0.12*smooth(t/0.3)
		out[i] = swell*w.at(phase) + breath*0.25*(noise-air)*math.Exp(-t*9) + breath*0.05*(noise-air)
		phase, vibrato = turn(phase+f/rate), turn(vibrato+vibratoHz/rate)
	}
	envelope(out, singingAttack, n.seconds, singingRelease)
	return out
}

func (p *player) wave(k vowelKey, levels []float64) *wave {
	if p.vowels[k] == nil {
		p.vowels[k] = newWave(levels)
	}
	return p.vowels[k]
}

// glideFrom returns how far below or above the note its pitch begins, as a share of it.
func (p *player) glideFrom(n note, hz float64) float64 {
	before := p.before
	p.before = n
	if before.part != n.part || n.at-before.end() > 0.05 || before.at >= n.at {
		return -0.02 // a fresh note is reached from just below
	}
	return 0.6 * (math.Pow(2, float64(before.key-n.key)/12) - 1)
}
