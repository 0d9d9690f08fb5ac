package band

import "strings"

// chord is a chord of a key: pitch classes as half tones above the tonic, the root first.
type chord []int

// majorScale and pentatonic are half tones above the tonic. The tune keeps to the second
// between the chords' own tones: none of its notes clashes with a common chord.
var (
	majorScale = []int{0, 2, 4, 5, 7, 9, 11}
	pentatonic = []int{0, 2, 4, 7, 9}
)

// chords reads a progression of Roman numerals: capitals are major, small ones minor,
// 7 and maj7 add a seventh.
func chords(progression string) []chord {
	var out []chord
	for name := range strings.FieldsSeq(progression) {
		out = append(out, readChord(name))
	}
	return out
}

func readChord(name string) chord {
	numeral := strings.TrimRight(name, "maj7")
	root := majorScale[map[string]int{"i": 0, "ii": 1, "iii": 2, "iv": 3, "v": 4, "vi": 5, "vii": 6}[strings.ToLower(numeral)]]
	third := 4
	if numeral == strings.ToLower(numeral) {
		third = 3
	}
	c := chord{root, root + third, root + 7}
	switch {
	case strings.HasSuffix(name, "maj7"):
		c = append(c, root+11)
	case strings.HasSuffix(name, "7"):
		c = append(c, root+10)
	}
	return c
}

// harmony gives each bar its chord. The song ends on the tonic.
func harmony(bars []bar, m mood) []chord {
	out := make([]chord, len(bars))
	for i, b := range bars {
		progression := m.verse
		if b.section == chorus {
			progression = m.chorus
		}
		out[i] = progression[b.place%len(progression)]
		if b.section == tail || b.last && b.section == outro {
			out[i] = chord{0, 4, 7}
			if len(progression[0]) > 3 {
				out[i] = append(out[i], 11)
			}
		}
	}
	return out
}

// voicing places a chord's tones as MIDI keys from low upwards, each once, in close position.
func (c chord) voicing(tonic, low int) []int {
	keys := make([]int, len(c))
	for i, tone := range c {
		keys[i] = low + wrap(tonic+tone-low)
	}
	return keys
}

// nearest returns the MIDI key of one of the pitch classes (above the tonic) that is closest to key.
func nearest(tones []int, tonic, key int) int {
	best, gap := key, 128
	for _, t := range tones {
		up := wrap(tonic + t - key)
		for _, d := range []int{up, up - 12} {
			if abs(d) < gap {
				best, gap = key+d, abs(d)
			}
		}
	}
	return best
}

func wrap(n int) int { return (n%12 + 12) % 12 }

func abs(n int) int { return max(n, -n) }
