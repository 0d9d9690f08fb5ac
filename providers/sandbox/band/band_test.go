package band

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// songs are lyrics of twelve lines in each language; pieces are the first Words' texts.
var songs = []struct {
	language, lyrics string
	pieces           []string
}{
	{"Korean", twelve("가평 숲길 끝에 불빛 하나", "여기 스테이 머뭄, 우리의 밤"), []string{"[Verse]\n가평 ", "숲길 ", "끝에 ", "불빛 ", "하나\n"}},
	{"English", twelve("Morning trees are calling me", "Stay with me, Gapyeong tonight"), []string{"[Verse]\nMorning ", "trees ", "are ", "calling ", "me\n"}},
	{"Vietnamese", twelve("Buổi sáng trong rừng yên bình", "Về đây bên nhau đêm nay"), []string{"[Verse]\nBuổi ", "sáng ", "trong ", "rừng ", "yên ", "bình\n"}},
	{"Chinese", twelve("加平的森林里有一盏灯", "今晚我们留在这里"), []string{"[Verse]\n加平的森林里有一盏灯\n"}},
	{"Japanese", twelve("森の小さな灯りが揺れる", "カピョンの夜に包まれて"), []string{"[Verse]\n森の", "小さな", "灯りが", "揺れる\n"}},
	{"Thai", twelve("เช้าในป่า สบายใจ", "คืนนี้เราอยู่ด้วยกัน"), []string{"[Verse]\nเช้า", "ใน", "ป่า ", "สบาย", "ใจ\n"}},
}

// twelve makes lyrics of a verse, a chorus, a verse and an outro.
func twelve(verse, chorus string) string {
	v, c := strings.Repeat(verse+"\n", 4), strings.Repeat(chorus+"\n", 4)
	return "[Verse]\n" + v + "\n[Chorus]\n" + c + "\n[Verse]\n" + verse + "\n" + verse + "\n\n[Outro]\n" + verse + "\n" + chorus
}

func compose(t *testing.T, o Order) *Song {
	t.Helper()
	s, err := Compose(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCompose_CutsWordsAsTheLanguageAsks(t *testing.T) {
	t.Parallel()
	for _, c := range songs {
		var got []string
		for _, w := range compose(t, Order{Lyrics: c.lyrics, Style: "k-pop"}).Words {
			got = append(got, w.Text)
		}
		if diff := cmp.Diff(c.pieces, got[:len(c.pieces)]); diff != "" {
			t.Errorf("%s: pieces (-want +got):\n%s", c.language, diff)
		}
		if got, want := strings.Join(got, ""), c.lyrics; got != want {
			t.Errorf("%s: joined words differ from the lyrics:\n%s", c.language, cmp.Diff(want, got))
		}
	}
}

func TestCompose_FullLyricsLastAboutAMinute(t *testing.T) {
	t.Parallel()
	for _, c := range songs {
		eleven := c.lyrics[:strings.LastIndexByte(c.lyrics, '\n')]
		for _, lyrics := range []string{eleven, c.lyrics} {
			for _, style := range []string{"slow ballad", "medium acoustic", "fast k-pop", "city pop", "lo-fi"} {
				s := compose(t, Order{Lyrics: lyrics, Style: style})
				if s.Seconds < 55 || s.Seconds > 62 {
					t.Errorf("%s, %s: %.2f seconds", c.language, style, s.Seconds)
				}
				if first := s.Words[0].Start; first < 2 || first > 5.5 {
					t.Errorf("%s, %s: first word at %.2f", c.language, style, first)
				}
				checkOrder(t, s)
			}
		}
	}
}

// checkOrder checks that times never go back and stay within the song.
func checkOrder(t *testing.T, s *Song) {
	t.Helper()
	last := 0.0
	for _, w := range s.Words {
		if w.Start < last || w.End <= w.Start || w.End > s.Seconds {
			t.Fatalf("word %q lasts from %v to %v after one that ended at %v, in a song of %v", w.Text, w.Start, w.End, last, s.Seconds)
		}
		last = w.End
	}
}

func TestCompose_WordsLastAsLongAsTheirNotes(t *testing.T) {
	t.Parallel()
	s := compose(t, Order{Lyrics: songs[0].lyrics, Style: "lo-fi"}) // with swing
	var tune []note
	for _, n := range s.score {
		if n.part == lead {
			tune = append(tune, n)
		}
	}
	for _, w := range s.Words {
		n := 0
		for _, r := range w.Text {
			if r >= '가' && r <= '힣' {
				n++
			}
		}
		got, want := []float64{w.Start, w.End}, []float64{tune[0].at, tune[n-1].end()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-notes +word):\n%s", w.Text, diff)
		}
		tune = tune[n:]
	}
	if len(tune) != 0 {
		t.Errorf("%d notes without a word", len(tune))
	}
}

func TestCompose_ShortLongAndEmpty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, lyrics    string
		atLeast, atMost float64
		words           int
	}{
		{"instrumental", "", 29, 31, 0},
		{"tags only", "[Intro]\n\n[Instrumental]\n♪ ♪", 29, 31, 0},
		{"one line", "[Chorus]\nStay here", 20, 24, 2},
		{"four lines", strings.Repeat("Stay here tonight\n", 4), 20, 35, 12},
		{"a very long line", strings.Repeat("la ", 200), 30, 60, 200},
		{"carriage returns and empty lines", "\r\nOne\r\n\r\n\r\n\r\ntwo\r\n", 20, 24, 2},
	} {
		s := compose(t, Order{Lyrics: c.lyrics, Style: "acoustic"})
		if s.Seconds < c.atLeast || s.Seconds > c.atMost || len(s.Words) != c.words {
			t.Errorf("%s: %.2f seconds and %d words, want %v to %v and %d", c.name, s.Seconds, len(s.Words), c.atLeast, c.atMost, c.words)
		}
		checkOrder(t, s)
	}
}

func TestCompose_RefusesWhatCannotBeSung(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Order{
		"characters": {Lyrics: strings.Repeat("a", maxLyrics+1)},
		"style":      {Style: strings.Repeat("a", maxStyle+1)},
		"length":     {Lyrics: strings.Repeat("la\n", 1000)},
	} {
		if s, err := Compose(o); err == nil {
			t.Errorf("%s: got a song of %v seconds, want an error", name, s.Seconds)
		}
	}
}

func TestCompose_StyleChoosesTheMood(t *testing.T) {
	t.Parallel()
	for style, want := range map[string]string{
		"K-pop, bright": "bright", "warm piano ballad": "ballad", "acoustic, healing": "acoustic",
		"city pop": "city pop", "smooth jazz": "city pop", "lo-fi chill": "lo-fi",
	} {
		if got := compose(t, Order{Style: style}).mood.name; got != want {
			t.Errorf("%q: got %s, want %s", style, got, want)
		}
	}
}

func TestCompose_AnotherSeedAnotherTune(t *testing.T) {
	t.Parallel()
	o := Order{Lyrics: songs[1].lyrics, Style: "bright"}
	a, again := compose(t, o), compose(t, o)
	o.Seed = 1
	b := compose(t, o)
	if diff := cmp.Diff(a.score, again.score, cmp.AllowUnexported(note{})); diff != "" {
		t.Errorf("the same order gave another score:\n%s", diff)
	}
	if cmp.Equal(a.score, b.score, cmp.AllowUnexported(note{})) {
		t.Error("another seed gave the same score")
	}
}

func TestCompose_QuickSongHoldsAllWords(t *testing.T) {
	t.Parallel()
	o := Order{Lyrics: songs[0].lyrics, Style: "bright"}
	full := compose(t, o)
	o.Quick = true
	quick := compose(t, o)
	checkOrder(t, quick)
	if got, want := len(quick.Words), len(full.Words); got != want {
		t.Fatalf("got %d words, want %d", got, want)
	}
	for i, w := range quick.Words {
		if want := full.Words[i].Start * quick.Seconds / full.Seconds; math.Abs(w.Start-want) > 1e-9 {
			t.Fatalf("word %d: got %v, want %v", i, w.Start, want)
		}
	}
}

func FuzzCompose(f *testing.F) {
	for _, c := range songs {
		f.Add(c.lyrics, "slow", uint64(1))
	}
	f.Add("[Verse] ー ん\n[a]b[c]\n์ ะ\xff", "999 bpm", uint64(0))
	f.Fuzz(func(t *testing.T, lyrics, style string, seed uint64) {
		s, err := Compose(Order{Lyrics: lyrics, Style: style, Seed: seed})
		if err == nil {
			checkOrder(t, s)
		}
	})
}
