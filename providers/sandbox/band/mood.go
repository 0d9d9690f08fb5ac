package band

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
)

// mood is a way of playing: what a style's words choose.
type mood struct {
	name   string
	bpm    float64
	tonic  int // pitch class of the key, 0 = C
	verse  []chord
	chorus []chord
	swing  float64
	sounds [parts]sound
	groove groove
}

// sound is one part's instrument: a voice of the built-in synthesiser and a General MIDI
// program (0-based) for a soundfont, with its level, place and echo.
type sound struct {
	voice   voice
	program int
	level   float64 // 0..1
	pan     float64 // -1 left .. 1 right
	echo    float64 // share sent to the reverb
}

// groove is how a mood's rhythm section plays a bar of sixteen steps, in calm and in full
// parts of the song: x strong, o soft, for the bass 1 the root, 5 the fifth, 8 the octave.
type groove struct {
	comp, fullComp   string
	arpeggio         []int // chord tones of the plucked part, an eighth each; -1 rests
	bass, fullBass   string
	kick, fullKick   string
	snare, fullSnare string
	hat, fullHat     string
	snareKey, hatKey int // General MIDI percussion keys
}

// manner is the choice that a mood is drawn from.
type manner struct {
	mood
	words    []string // in a style that asks for it
	tonics   []int
	verses   []string
	choruses []string
}

var tempoMark = regexp.MustCompile(`(\d{2,3})\s*bpm`)

// moodFor reads a style. What it leaves open is drawn from r.
func moodFor(style string, r *rand.Rand) mood {
	style = strings.ToLower(style)
	all := manners()
	chosen, best := all[r.IntN(len(all))], 0
	for _, m := range all {
		n := 0
		for _, w := range m.words {
			n += strings.Count(style, w) * len(w) // "city pop" outweighs its "pop"
		}
		if n > best {
			chosen, best = m, n
		}
	}
	m := chosen.mood
	m.bpm = tempoOf(style, m.bpm)
	m.tonic = chosen.tonics[r.IntN(len(chosen.tonics))]
	m.verse = chords(chosen.verses[r.IntN(len(chosen.verses))])
	m.chorus = chords(chosen.choruses[r.IntN(len(chosen.choruses))])
	return m
}

// Tempos in beats a minute.
const (
	slow   = 88
	medium = 96
	fast   = 112
)

// tempoOf reads a style's tempo; usual is the mood's own.
func tempoOf(style string, usual float64) float64 {
	if m := tempoMark.FindStringSubmatch(style); m != nil {
		bpm, _ := strconv.ParseFloat(m[1], 64)
		return min(max(bpm, 80), 124)
	}
	for _, t := range []struct {
		bpm   float64
		words []string
	}{
		{medium, []string{"medium", "mid-tempo", "midtempo", "moderate", "보통"}},
		{slow, []string{"slow", "calm", "느린", "잔잔"}},
		{fast, []string{"fast", "upbeat", "energetic", "dance", "빠른", "신나는"}},
	} {
		for _, w := range t.words {
			if strings.Contains(style, w) {
				return t.bpm
			}
		}
	}
	return usual
}

// manners lists the ways in which the band can play.
func manners() []manner {
	return []manner{ballad(), bright(), acoustic(), cityPop(), loFi()}
}

func ballad() manner {
	return manner{
		words:  []string{"ballad", "emotional", "romantic", "piano", "sad", "warm", "발라드", "감성"},
		tonics: []int{0, 10, 8}, verses: []string{"I V vi IV", "I iii IV V", "vi IV I V"}, choruses: []string{"IV V iii vi", "I V vi IV"},
		mood: mood{name: "ballad", bpm: slow,
			sounds: [parts]sound{
				lead: {singer, 73, 0.80, 0, 0.35}, double: {singer, 52, 0.45, 0, 0.5}, keys: {grand, 0, 0.50, -0.15, 0.25},
				plucked: {grand, 0, 0.30, 0.2, 0.3}, pad: {ensemble, 48, 0.34, 0, 0.5}, bass: {roundBass, 33, 0.60, 0, 0.05}, drums: {kit, 0, 0.42, 0, 0.18}},
			groove: groove{comp: "x...............", fullComp: "x.......o.......", arpeggio: []int{0, 1, 2, 3, 2, 1, 2, 1},
				bass: "1...............", fullBass: "1.......5...1...", kick: "................", fullKick: "x.........o.....",
				snare: "................", fullSnare: "........x.......", hat: "................", fullHat: "x.o.x.o.x.o.x.o.", snareKey: 37, hatKey: 42}},
	}
}

func bright() manner {
	return manner{
		words:  []string{"k-pop", "kpop", "bright", "pop", "dance", "happy", "cheerful", "summer", "edm", "밝은", "신나는", "케이팝"},
		tonics: []int{2, 4, 7}, verses: []string{"vi IV I V", "I V vi IV", "I iii IV V"}, choruses: []string{"IV V iii vi", "IV V vi I"},
		mood: mood{name: "bright", bpm: medium,
			sounds: [parts]sound{
				lead: {singer, 73, 0.80, 0, 0.25}, double: {singer, 80, 0.30, 0.1, 0.3}, keys: {electric, 5, 0.46, -0.25, 0.2},
				plucked: {bell, 11, 0.30, 0.35, 0.35}, pad: {warmPad, 89, 0.26, 0, 0.4}, bass: {roundBass, 38, 0.62, 0, 0.03}, drums: {kit, 0, 0.62, 0, 0.1}},
			groove: groove{comp: "x.....o.....o...", fullComp: "x..x..x...x..x..", arpeggio: []int{0, 2, 1, 3, 2, 1, 3, 2},
				bass: "1.....1.1.....5.", fullBass: "1.1.8.1.1.1.8.5.", kick: "x.......x.......", fullKick: "x...x...x...x...",
				snare: "....o.......o...", fullSnare: "....x.......x..o", hat: "..x...x...x...x.", fullHat: "o.xoo.xoo.xoo.xo", snareKey: 39, hatKey: 42}},
	}
}

func acoustic() manner {
	return manner{
		words:  []string{"acoustic", "folk", "guitar", "country", "healing", "natural", "indie", "campfire", "어쿠스틱", "포크", "힐링"},
		tonics: []int{7, 0, 2}, verses: []string{"I V vi IV", "I IV I V", "I vi IV V"}, choruses: []string{"IV I V vi", "IV V I vi"},
		mood: mood{name: "acoustic", bpm: medium,
			sounds: [parts]sound{
				lead: {flute, 73, 0.78, 0, 0.3}, double: {singer, 52, 0.40, 0, 0.4}, keys: {guitar, 25, 0.46, -0.35, 0.15},
				plucked: {guitar, 24, 0.46, 0.35, 0.2}, pad: {ensemble, 49, 0.16, 0, 0.5}, bass: {roundBass, 32, 0.62, 0, 0.05}, drums: {kit, 0, 0.42, 0, 0.15}},
			groove: groove{comp: "x.......o.....o.", fullComp: "x...x.oo..o.x.oo", arpeggio: []int{0, 2, 1, 2, 3, 2, 1, 2},
				bass: "1.......5.......", fullBass: "1.....1.5.....5.", kick: "................", fullKick: "x.....o.x.......",
				snare: "................", fullSnare: "....x.......x...", hat: "x.o.x.o.x.o.x.o.", fullHat: "xooxxooxxooxxoox", snareKey: 37, hatKey: 82}},
	}
}

func cityPop() manner {
	return manner{
		words:  []string{"jazz", "city pop", "city-pop", "citypop", "funk", "soul", "r&b", "groov", "disco", "retro", "bossa", "재즈", "시티팝"},
		tonics: []int{5, 3, 10}, verses: []string{"ii7 V7 Imaj7 vi7", "Imaj7 vi7 ii7 V7"}, choruses: []string{"IVmaj7 III7 vi7 I7", "IVmaj7 V7 iii7 vi7"},
		mood: mood{name: "city pop", bpm: fast,
			sounds: [parts]sound{
				lead: {flute, 66, 0.74, 0, 0.25}, double: {singer, 52, 0.34, 0, 0.35}, keys: {electric, 4, 0.52, -0.3, 0.2},
				plucked: {guitar, 28, 0.34, 0.4, 0.15}, pad: {warmPad, 48, 0.18, 0, 0.4}, bass: {roundBass, 36, 0.66, 0, 0.03}, drums: {kit, 0, 0.56, 0, 0.12}},
			groove: groove{comp: "x.....x.......o.", fullComp: "x..x..o...x..o..", arpeggio: []int{-1, 2, -1, 3, 1, -1, 2, -1},
				bass: "1.....1.5...8...", fullBass: "1..1..8.1.5.8.5.", kick: "x.......x.......", fullKick: "x.....x.x..o....",
				snare: "....o.......o...", fullSnare: "....x..o.o..x...", hat: "x.o.x.o.x.o.x.o.", fullHat: "xoxoxoxoxoxoxoxo", snareKey: 38, hatKey: 42}},
	}
}

func loFi() manner {
	return manner{
		words:  []string{"lo-fi", "lofi", "lo fi", "chill", "dreamy", "hip hop", "hip-hop", "hiphop", "ambient", "relax", "로파이", "몽환"},
		tonics: []int{3, 8, 1}, verses: []string{"ii7 V7 Imaj7 vi7", "IVmaj7 iii7 ii7 Imaj7"}, choruses: []string{"IVmaj7 iii7 vi7 Imaj7", "IVmaj7 V7 iii7 vi7"},
		mood: mood{name: "lo-fi", bpm: slow, swing: 0.3,
			sounds: [parts]sound{
				lead: {flute, 79, 0.70, 0, 0.45}, double: {singer, 52, 0.36, 0, 0.5}, keys: {electric, 4, 0.60, -0.1, 0.3},
				plucked: {bell, 11, 0.26, 0.3, 0.5}, pad: {warmPad, 89, 0.22, 0, 0.5}, bass: {roundBass, 32, 0.66, 0, 0.05}, drums: {kit, 0, 0.50, 0, 0.15}},
			groove: groove{comp: "x...............", fullComp: "x.........o.....", arpeggio: []int{-1, -1, 2, -1, 3, -1, 1, -1},
				bass: "1.........5.....", fullBass: "1.....1...5...8.", kick: "x...............", fullKick: "x......o..x.....",
				snare: "............o...", fullSnare: "....x.......x...", hat: "x...o...x...o...", fullHat: "x.o.x.o.x.oox.o.", snareKey: 37, hatKey: 42}},
	}
}
