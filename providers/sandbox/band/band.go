// Package band makes the sandbox's songs: it composes a small score for given lyrics and
// renders it to a stereo MP3. It stands in for a commercial song service, so its words come
// in that service's shape, but their times are exact: a word lasts from the start of its first
// note to the end of its last one.
//
// Start at Compose; Song.WriteMP3 turns the result into a file. The singing is a tune on
// vowels, not speech. Nothing here talks to a network.
package band

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"unicode/utf8"
)

// Bounds of an order; a song service refuses longer texts too.
const (
	maxLyrics  = 5000 // characters
	maxStyle   = 1000 // characters
	maxSeconds = 300  // of song
)

// Order says what to compose.
type Order struct {
	Lyrics string // as sung: section tags such as [Chorus] in lines of their own, one lyric line a text line; "" for an instrumental
	Style  string // free words: genre, mood, tempo ("slow", "fast", "104 bpm")
	Title  string // goes into the MP3's tag only
	Seed   uint64 // another seed, another tune
	Quick  bool   // two seconds of silence with all words in it, for tests that need no music
}

// Word is one timed piece of the lyrics. Times are seconds from the start of the audio.
//
// The piece is a word in Korean, English and Vietnamese, a line in Chinese, and a few
// syllables in Japanese and Thai. Text keeps what stood around it: section tags before the
// first word, trailing blanks, the line feeds at the end of a line or verse. All Texts joined
// are the lyrics, but for carriage returns, blanks around them, and line feeds past the second.
type Word struct {
	Text       string
	Start, End float64
}

// Song is a composed song. It is read-only, so it may be rendered from several goroutines.
type Song struct {
	Seconds float64 // length of the audio
	Words   []Word  // in singing order, Start and End never going back; empty for an instrumental

	title string
	quick bool
	mood  mood
	score []note // of all parts, in no order; empty for a quick song
	seed  uint64 // of everything random in the sound
}

// Compose writes a song. The same lyrics, style and seed always give the same song.
// Eleven or twelve lines make about 60 seconds, fewer lines less (20 at least), no lyrics
// an instrumental of 30. It returns an error for texts too long to be sung in five minutes.
func Compose(o Order) (*Song, error) {
	if n := utf8.RuneCountInString(o.Lyrics); n > maxLyrics {
		return nil, fmt.Errorf("compose: lyrics have %d characters, at most %d are sung", n, maxLyrics)
	}
	if n := utf8.RuneCountInString(o.Style); n > maxStyle {
		return nil, fmt.Errorf("compose: style has %d characters, at most %d are read", n, maxStyle)
	}
	seed := seedOf(o)
	r := rand.New(rand.NewPCG(seed, o.Seed))
	m := moodFor(o.Style, r)
	f := plan(readLyrics(o.Lyrics), m.bpm)
	if f.seconds() > maxSeconds {
		return nil, fmt.Errorf("compose: the lyrics would take %.0f seconds, at most %d are made", f.seconds(), maxSeconds)
	}
	tune := sing(f, m, r)
	s := &Song{Seconds: f.seconds(), Words: timeWords(f.lines, tune), title: o.Title, mood: m, seed: seed}
	if o.Quick {
		s.hurry()
		return s, nil
	}
	s.score = append(accompany(f, m, tune, r), tune...)
	return s, nil
}

// hurry shrinks the song to the length of a quick one.
func (s *Song) hurry() {
	scale := quickSeconds / s.Seconds
	for i := range s.Words {
		s.Words[i].Start *= scale
		s.Words[i].End *= scale
	}
	s.Seconds, s.quick = quickSeconds, true
}

// timeWords reads the words' times off the tune, which has one note a syllable in singing order.
func timeWords(lines []line, tune []note) []Word {
	words, next := []Word{}, 0
	for _, l := range lines {
		for _, u := range l.units {
			first, last := tune[next], tune[next+len(u.vowels)-1]
			words = append(words, Word{Text: u.text, Start: first.at, End: last.end()})
			next += len(u.vowels)
		}
	}
	return words
}

// seedOf mixes all that may change the music; the title doesn't.
func seedOf(o Order) uint64 {
	h := fnv.New64a()
	h.Write([]byte(o.Lyrics))
	h.Write([]byte{0xff}) // never in UTF-8: keeps the two texts apart
	h.Write([]byte(o.Style))
	h.Write(binary.LittleEndian.AppendUint64(nil, o.Seed))
	return h.Sum64()
}
