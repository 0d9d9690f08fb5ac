package band

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// stereo is sound in two channels of the same length, about -1..1.
type stereo struct{ left, right []float32 }

func newStereo(frames int) stereo {
	return stereo{make([]float32, frames), make([]float32, frames)}
}

// perform plays the score with the built-in voices.
func (s *Song) perform(ctx context.Context) (stereo, error) {
	frames := samples(s.Seconds)
	dry, echo := newStereo(frames), make([]float32, frames)
	p, strokes := newPlayer(s.seed), map[int][]float64{}
	score := slices.Clone(s.score)
	slices.SortStableFunc(score, func(a, b note) int {
		return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.at, b.at))
	})
	for i, n := range score {
		if i%64 == 0 && ctx.Err() != nil {
			return stereo{}, ctx.Err()
		}
		snd := s.mood.sounds[n.part]
		if snd.voice != kit {
			dry.add(echo, p.render(snd.voice, n), snd, n.at)
			continue
		}
		if strokes[n.key] == nil {
			strokes[n.key] = stroke(n.key, rand.New(rand.NewPCG(s.seed, uint64(n.key))))
		}
		snd.level *= float64(n.velocity*n.velocity) / (127 * 127)
		snd.pan = drumPan(n.key)
		dry.add(echo, strokes[n.key], snd, n.at)
	}
	reverberate(echo, dry)
	return dry, nil
}

// add mixes a sound in at a time, cut at the end of the song.
func (d stereo) add(echo []float32, heard []float64, snd sound, at float64) {
	start := samples(at)
	if start >= len(echo) {
		return
	}
	angle := (snd.pan + 1) * math.Pi / 4 // equal power
	l, r := float32(snd.level*math.Cos(angle)), float32(snd.level*math.Sin(angle))
	send := float32(snd.level * snd.echo)
	for i, v := range heard[:min(len(heard), len(echo)-start)] {
		v := float32(v)
		d.left[start+i] += l * v
		d.right[start+i] += r * v
		echo[start+i] += send * v
	}
}

func drumPan(key int) float64 {
	switch key {
	case kickKey, 38, 39:
		return 0
	case 82:
		return -0.4
	default:
		return 0.25
	}
}

// reverberate adds a room to dry: four damped combs and two all-passes a side, after
// Schroeder, with lengths that have no common divisors and differ between the sides.
func reverberate(echo []float32, dry stereo) {
	const level = 0.32
	for side, out := range [][]float32{dry.left, dry.right} {
		spread := 37 * side
		combs := []*comb{newComb(1687 + spread), newComb(1931 + spread), newComb(2053 + spread), newComb(2251 + spread)}
		first, second := newAllPass(347+spread), newAllPass(113+spread)
		for i, v := range echo {
			var sum float32
			for _, c := range combs {
				sum += c.next(v)
			}
			out[i] += level * second.next(first.next(sum))
		}
	}
}

type comb struct {
	line []float32
	at   int
	dull float32
}

func newComb(length int) *comb { return &comb{line: make([]float32, length)} }

func (c *comb) next(in float32) float32 {
	const keep, damping = 0.83, 0.38
	out := c.line[c.at]
	c.dull += (1 - damping) * (out - c.dull)
	c.line[c.at] = in + keep*c.dull
	if c.at++; c.at == len(c.line) {
		c.at = 0
	}
	return out
}

type allPass struct {
	line []float32
	at   int
}

func newAllPass(length int) *allPass { return &allPass{line: make([]float32, length)} }

func (a *allPass) next(in float32) float32 {
	const share = 0.6
	held := a.line[a.at]
	out := held - share*in
	a.line[a.at] = in + share*out
	if a.at++; a.at == len(a.line) {
		a.at = 0
	}
	return out
}
