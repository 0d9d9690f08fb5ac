package band

import "math"

const (
	wantLoudness = -14.0 // LUFS, what the video platforms play at
	ceiling      = 0.82  // -1.7 dBFS: leaves the MP3 coder and peaks between samples some room
	fadeSeconds  = 3.0
)

// master fades the end out and brings the song to the wanted loudness without clipping.
func master(s stereo) {
	s.removeOffset()
	s.fadeOut()
	// The limiter takes some loudness away again, so the second round makes that good.
	for range 2 {
		if now := loudness(s); !math.IsInf(now, -1) {
			s.scale(math.Pow(10, (wantLoudness-now)/20))
		}
		s.limit()
	}
}

// removeOffset takes away what lies below hearing (20 Hz).
func (s stereo) removeOffset() {
	const keep = 1 - 2*math.Pi*20/rate
	for _, side := range [][]float32{s.left, s.right} {
		var in, out float64
		for i, v := range side {
			out = keep*out + float64(v) - in
			in = float64(v)
			side[i] = float32(out)
		}
	}
}

func (s stereo) fadeOut() {
	frames := min(samples(fadeSeconds), len(s.left)/4)
	for i := range frames {
		gain := float32(smooth(float64(i) / float64(frames)))
		k := len(s.left) - 1 - i
		s.left[k] *= gain
		s.right[k] *= gain
	}
}

func (s stereo) scale(gain float64) {
	for i := range s.left {
		s.left[i] *= float32(gain)
		s.right[i] *= float32(gain)
	}
}

// loudness is the integrated loudness in LUFS after ITU-R BS.1770-4, -Inf for silence.
func loudness(s stereo) float64 {
	const hop = rate / 10
	hops := make([]float64, len(s.left)/hop) // mean square of each 100 ms, both sides added
	for _, side := range [][]float32{s.left, s.right} {
		head, low := headFilter, lowFilter
		for i := range hops {
			for _, v := range side[i*hop : (i+1)*hop] {
				w := low.next(head.next(float64(v)))
				hops[i] += w * w / hop
			}
		}
	}
	var blocks []float64 // of 400 ms, overlapping by three quarters
	for i := 3; i < len(hops); i++ {
		blocks = append(blocks, (hops[i-3]+hops[i-2]+hops[i-1]+hops[i])/4)
	}
	audible := meanAbove(blocks, math.Pow(10, (-70+0.691)/10))
	return -0.691 + 10*math.Log10(meanAbove(blocks, audible/10))
}

// meanAbove averages what is above a gate.
func meanAbove(blocks []float64, gate float64) float64 {
	var sum, n float64
	for _, b := range blocks {
		if b > gate {
			sum, n = sum+b, n+1
		}
	}
	return sum / max(n, 1)
}

// biquad is a second-order filter in direct form II, transposed.
type biquad struct{ b0, b1, b2, a1, a2, z1, z2 float64 }

// The two filters of BS.1770 for 48 kHz: the head's shelf and the cut of lows.
var (
	headFilter = biquad{b0: 1.53512485958697, b1: -2.69169618940638, b2: 1.19839281085285, a1: -1.69065929318241, a2: 0.73248077421585}
	lowFilter  = biquad{b0: 1, b1: -2, b2: 1, a1: -1.99004745483398, a2: 0.99007225036621}
)

func (f *biquad) next(in float64) float64 {
	out := f.b0*in + f.z1
	f.z1 = f.b1*in - f.a1*out + f.z2
	f.z2 = f.b2*in - f.a2*out
	return out
}

// limit turns the gain down around peaks above the ceiling: in blocks of a millisecond, down
// within three of them and up again within about a tenth of a second.
func (s stereo) limit() {
	const block = rate / 1000
	gains := make([]float64, (len(s.left)+block-1)/block)
	for b := range gains {
		peak := 0.0
		for i := b * block; i < min((b+1)*block, len(s.left)); i++ {
			peak = max(peak, math.Abs(float64(s.left[i])), math.Abs(float64(s.right[i])))
		}
		gains[b] = min(1, ceiling/max(peak, 1e-9))
	}
	for b := 1; b < len(gains); b++ {
		gains[b] = min(gains[b], gains[b-1]+0.01)
	}
	for b := len(gains) - 2; b >= 0; b-- {
		gains[b] = min(gains[b], gains[b+1]+0.3)
	}
	for b, gain := range gains {
		// Straight from edge to edge, where an edge has the lower gain of its two blocks.
		from, to := min(gain, gains[max(b-1, 0)]), min(gain, gains[min(b+1, len(gains)-1)])
		for i := range min(block, len(s.left)-b*block) {
			g := float32(from + (to-from)*float64(i)/block)
			s.left[b*block+i] *= g
			s.right[b*block+i] *= g
		}
	}
}

// pcm interleaves the channels as 16-bit samples.
func (s stereo) pcm() []int16 {
	out := make([]int16, 2*len(s.left))
	for i := range s.left {
		out[2*i], out[2*i+1] = sample16(s.left[i]), sample16(s.right[i])
	}
	return out
}

func sample16(v float32) int16 {
	return int16(math.RoundToEven(float64(min(max(v, -1), 1)) * math.MaxInt16))
}
