package band

import (
	"math"
	"math/rand/v2"
)

// stroke returns the sound of a percussion key (General MIDI's numbers), at full strength.
func stroke(key int, r *rand.Rand) []float64 {
	switch key {
	case kickKey:
		return kick()
	case 37: // side stick
		return mixed(ringing(1650, 0.018, 0.5), hiss(r, 0.03, 0.012, 0.5, 0.3))
	case 38: // snare
		return mixed(ringing(195, 0.09, 0.5), hiss(r, 0.28, 0.075, 0.35, 0.55))
	case 39: // clap
		return clap(r)
	case crashKey:
		return hiss(r, 1.8, 0.5, 0.8, 0.35)
	case 82: // shaker
		return shaken(hiss(r, 0.12, 0.05, 0.75, 0.5))
	default: // closed hi-hat
		return hiss(r, 0.12, 0.028, 0.85, 0.5)
	}
}

// kick is a sine that falls from a knock to a deep note.
func kick() []float64 {
	out := make([]float64, samples(0.4))
	phase := 0.0
	for i := range out {
		t := float64(i) / rate
		phase += (48 + 90*math.Exp(-t*38)) / rate
		out[i] = math.Sin(2*math.Pi*phase) * math.Exp(-t*9.5)
	}
	envelope(out, 0.002, 0.3, 0.1)
	return out
}

// ringing is a dying tone.
func ringing(hz, decay, level float64) []float64 {
	out := make([]float64, samples(decay*6))
	for i := range out {
		t := float64(i) / rate
		out[i] = level * math.Sin(2*math.Pi*hz*t) * math.Exp(-t/decay)
	}
	return out
}

// hiss is dying noise; bright (0..1) is how much of its lows is taken away.
func hiss(r *rand.Rand, seconds, decay, bright, level float64) []float64 {
	out := make([]float64, samples(seconds))
	var low, lower float64
	for i := range out {
		noise := r.Float64()*2 - 1
		low += 0.45 * (noise - low)
		lower += 0.45 * (low - lower)
		high := noise - bright*(2*low-lower)
		out[i] = level * high * math.Exp(-float64(i)/(decay*rate))
	}
	envelope(out, 0.0008, seconds*0.8, seconds*0.2)
	return out
}

// clap is four short bursts, the last with a room behind it.
func clap(r *rand.Rand) []float64 {
	out := hiss(r, 0.3, 0.006, 0.3, 0.45)
	for i, at := range []float64{0.011, 0.021, 0.032} {
		decay := 0.006
		if i == 2 {
			decay = 0.07
		}
		burst := hiss(r, 0.26, decay, 0.3, 0.5)
		for k, v := range burst[:min(len(burst), len(out)-samples(at))] {
			out[samples(at)+k] += v
		}
	}
	return out
}

// shaken softens the start: a shaker's grains don't all arrive at once.
func shaken(s []float64) []float64 {
	envelope(s, 0.025, 0.12, 0.01)
	return s
}

func mixed(a, b []float64) []float64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	for i, v := range b {
		a[i] += v
	}
	return a
}
