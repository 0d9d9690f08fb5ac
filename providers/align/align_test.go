package align

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"castad/providers"
)

var near = cmpopts.EquateApprox(0, 0.02)

func TestTimeLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		lines   []string
		words   []providers.Word
		seconds float64
		want    []providers.Line
		least   float64
	}{
		{
			name:  "words with tags inside and line feeds",
			lines: []string{"Morning trees", "Come and stay"},
			words: []providers.Word{
				{Text: "[Verse]\nMorning ", Start: 6, End: 6.5}, {Text: "trees\n\n", Start: 8, End: 9},
				{Text: "[Chorus]\nCome ", Start: 12, End: 12.4}, {Text: "and ", Start: 12.4, End: 12.8}, {Text: "stay\n", Start: 12.8, End: 14},
			},
			seconds: 60,
			want: []providers.Line{
				{Text: "Morning trees", Start: 6, End: 9, Words: []providers.Word{{Text: "Morning", Start: 6, End: 6.5}, {Text: "trees", Start: 8, End: 9}}},
				{Text: "Come and stay", Start: 12, End: 14, Words: []providers.Word{
					{Text: "Come", Start: 12, End: 12.4}, {Text: "and", Start: 12.4, End: 12.8}, {Text: "stay", Start: 12.8, End: 14}}},
			},
			least: 1,
		},
		{
			name:  "a tag split over two units",
			lines: []string{"산이 인사해", "쉬어 가요"},
			words: []providers.Word{
				{Text: "산이 ", Start: 3, End: 4}, {Text: "인사해\n\n(", Start: 4, End: 6}, {Text: "Chorus)\n쉬어 ", Start: 8, End: 9}, {Text: "가요", Start: 9, End: 10},
			},
			seconds: 60,
			want: []providers.Line{
				{Text: "산이 인사해", Start: 3, End: 6, Words: []providers.Word{{Text: "산이", Start: 3, End: 4}, {Text: "인사해", Start: 4, End: 6}}},
				{Text: "쉬어 가요", Start: 8, End: 10, Words: []providers.Word{{Text: "쉬어", Start: 8, End: 9}, {Text: "가요", Start: 9, End: 10}}},
			},
			least: 1,
		},
		{
			name:    "syllables",
			lines:   []string{"가평 밤"},
			words:   []providers.Word{{Text: "가", Start: 1, End: 1.5}, {Text: "평 ", Start: 1.5, End: 2}, {Text: "밤\n", Start: 2, End: 3}},
			seconds: 10,
			want: []providers.Line{{Text: "가평 밤", Start: 1, End: 3,
				Words: []providers.Word{{Text: "가평", Start: 1, End: 2}, {Text: "밤", Start: 2, End: 3}}}},
			least: 1,
		},
		{
			name:    "whole lines, the second missing",
			lines:   []string{"推开窗", "山风问好", "星星作伴"},
			words:   []providers.Word{{Text: "[Verse]\n推开窗\n", Start: 4, End: 6}, {Text: "星星作伴\n", Start: 10, End: 13}},
			seconds: 30,
			want:    []providers.Line{{Text: "推开窗", Start: 4, End: 6}, {Text: "山风问好", Start: 6, End: 10}, {Text: "星星作伴", Start: 10, End: 13}},
			least:   0.6,
		},
		{
			name:    "one unit a minute off doesn't drag the others",
			lines:   []string{"one two", "three four"},
			words:   []providers.Word{{Text: "one ", Start: 1, End: 2}, {Text: "la ", Start: 50, End: 51}, {Text: "two\n", Start: 2, End: 3}, {Text: "three ", Start: 4, End: 5}, {Text: "four", Start: 5, End: 6}},
			seconds: 60,
			want: []providers.Line{
				{Text: "one two", Start: 1, End: 3, Words: []providers.Word{{Text: "one", Start: 1, End: 2}, {Text: "two", Start: 2, End: 3}}},
				{Text: "three four", Start: 4, End: 6, Words: []providers.Word{{Text: "three", Start: 4, End: 5}, {Text: "four", Start: 5, End: 6}}},
			},
			least: 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, score := TimeLines(test.lines, test.words, test.seconds)
			if diff := cmp.Diff(got, test.want, near); diff != "" {
				t.Errorf("lines (-got +want):\n%s", diff)
			}
			if score < test.least {
				t.Errorf("score %v, want at least %v", score, test.least)
			}
		})
	}
}

func TestTimeLines_SameLineTwice(t *testing.T) {
	t.Parallel()
	words := []providers.Word{{Text: "stay with me\n", Start: 5, End: 8}, {Text: "stars above\n", Start: 9, End: 12}, {Text: "stay with me\n", Start: 20, End: 23}}
	got, _ := TimeLines([]string{"Stay with me,", "Stars above", "Stay with me!"}, words, 30)
	starts := []float64{got[0].Start, got[1].Start, got[2].Start}
	if diff := cmp.Diff(starts, []float64{5, 9, 20}, near); diff != "" {
		t.Errorf("starts (-got +want):\n%s", diff)
	}
}

func TestTimeLines_EvenWithoutUnits(t *testing.T) {
	t.Parallel()
	got, score := TimeLines([]string{"가나다라", "마바사아"}, nil, 100)
	want := []providers.Line{{Text: "가나다라", Start: 8, End: 51.5}, {Text: "마바사아", Start: 51.5, End: 95}}
	if diff := cmp.Diff(got, want, near); diff != "" || score != 0 {
		t.Errorf("score %v, lines (-got +want):\n%s", score, diff)
	}
}

func TestTimeLines_OtherSongScoresLow(t *testing.T) {
	t.Parallel()
	_, score := TimeLines([]string{"숲속에서 아침을"}, []providers.Word{{Text: "completely different words", Start: 1, End: 5}}, 60)
	if score > 0.2 {
		t.Errorf("score %v for words of another song", score)
	}
}

// Whatever the units say, lines stay in order and in the song.
func TestTimeLines_AlwaysInOrderAndInTheSong(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"가평 밤", "stay", "[Verse]\n", "(", "Chorus)\n", "推开窗", "", "\n\n", "\xff", "ดาว"})
		moment := rapid.OneOf(rapid.Float64Range(-10, 200), rapid.Just(math.NaN()), rapid.Just(math.Inf(1)), rapid.Float64())
		words := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) providers.Word {
			return providers.Word{Text: text.Draw(t, "text"), Start: moment.Draw(t, "start"), End: moment.Draw(t, "end")}
		}), 0, 20).Draw(t, "words")
		lines := rapid.SliceOfN(text, 0, 8).Draw(t, "lines")
		seconds := rapid.OneOf(rapid.Float64Range(0, 100), rapid.Just(math.NaN())).Draw(t, "seconds")
		got, score := TimeLines(lines, words, seconds)
		if len(got) != len(lines) || !(score >= 0 && score <= 1) {
			t.Fatalf("%d lines for %d, score %v", len(got), len(lines), score)
		}
		last, end := 0.0, songSeconds(seconds, words)
		for i, line := range got {
			if !(line.Start >= last && line.End >= line.Start && line.End <= end) {
				t.Fatalf("line %d: %v to %v after %v in %v s", i, line.Start, line.End, last, end)
			}
			last = line.End
			if len(line.Words) > 0 && len(line.Words) != len(strings.Fields(line.Text)) {
				t.Fatalf("line %d has %d words", i, len(line.Words))
			}
		}
	})
}
