package prompts

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"castad/internal/fault"
)

var song = Lyric{Lines: []LyricLine{{"verse", "하나"}, {"verse", "둘 [x]"}, {"chorus", "셋"}, {"outro", "넷"}}}

func TestLyric_SheetAndTexts(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(song.Sheet(), "[Verse]\n하나\n둘 x\n\n[Chorus]\n셋\n\n[Outro]\n넷\n[End]"); diff != "" {
		t.Errorf("sheet (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(song.Texts(), []string{"하나", "둘 x", "셋", "넷"}); diff != "" {
		t.Errorf("texts (-got +want):\n%s", diff)
	}
}

func TestParseText(t *testing.T) {
	t.Parallel()
	want := Lyric{Lines: []LyricLine{{"verse", "하나"}, {"verse", "둘 x"}, {"chorus", "셋"}, {"outro", "넷"}}}
	for _, text := range []string{song.Text(), song.Sheet(), "하나\r\n둘  x\r\n\r\n[후렴]\r\n셋\r\n[outro 1]\r\n넷"} {
		got, err := ParseText(text)
		if diff := cmp.Diff(got, want); diff != "" || err != nil {
			t.Errorf("%q: %v (-got +want):\n%s", text, err, diff)
		}
	}
	for name, text := range map[string]string{
		"empty": "\n \n", "only headings": "[Verse]", "unknown section": "[Rap]\na", "bracket inside": "a [Verse] b", "after the end": "a\n[End]\nb",
		"long line": strings.Repeat("가", 121), "many lines": strings.Repeat("가\n", 41), "long": strings.Repeat("가나다라마바사\n", 500), "no UTF-8": "\xff",
	} {
		if got, err := ParseText(text); err == nil || fault.Of(err).Code != "lyric_unreadable" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestStyle(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]Music{
		"K-pop, bright, 100 bpm, female vocal, short jingle": {Genre: "K-pop", Vocal: "female", Tempo: "100", Mood: "bright"},
		"어쿠스틱, 잔잔한, slow tempo, 여성 보컬, short jingle":         {Genre: "어쿠스틱", Vocal: "여성 보컬", Tempo: "Slow", Mood: "잔잔한"},
		"Verse jazz, short jingle":                           {Genre: "[Verse]\njazz"},
		"short jingle":                                       {},
	} {
		if got := Style(m); got != want {
			t.Errorf("%+v: %q, want %q", m, got, want)
		}
	}
	long := strings.Repeat("아주긴말 ", 50)
	if n := utf8.RuneCountInString(Style(Music{long, long, long, long})); n > 200 || n < 50 {
		t.Errorf("%d characters", n)
	}
	if got := [3]string{Gender(Music{Vocal: "Female"}), Gender(Music{Vocal: "male voice"}), Gender(Music{Vocal: "duet"})}; got != [3]string{"f", "m", ""} {
		t.Errorf("genders %q", got)
	}
}

func TestTrimSEO(t *testing.T) {
	t.Parallel()
	got := TrimSEO(SEO{
		Title:       "가평펜션 “숲속하루”   정말 좋아요!!! <b> " + strings.Repeat("긴 제목 ", 30) + "“열린",
		Description: strings.Repeat("좋은 하루 보내시기 바랍니다. ", 100) + "https://evil.example/",
		Keywords:    append([]string{"#가평펜션", "가평 펜션", "", strings.Repeat("가", 31)}, strings.Split(strings.Repeat("가,나,다,라,마,바,사,아,자,차,카,타,파,하,", 2), ",")...),
	})
	if n := utf8.RuneCountInString(got.Title); n > 100 || !strings.HasPrefix(got.Title, "가평펜션 “숲속하루” 정말 좋아요! b") || strings.HasSuffix(got.Title, "“") {
		t.Errorf("title of %d characters %q", n, got.Title)
	}
	if n := utf8.RuneCountInString(got.Description); n > 1000 || n < 900 || !strings.HasSuffix(got.Description, "바랍니다.") {
		t.Errorf("description of %d characters %q", n, got.Description)
	}
	if diff := cmp.Diff(got.Keywords, []string{"가평펜션", "가", "나", "다", "라", "마", "바", "사", "아", "자", "차", "카", "타", "파", "하"}); diff != "" {
		t.Errorf("keywords (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(TrimSEO(got), got); diff != "" {
		t.Errorf("trimming again changes it:\n%s", diff)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := TrimSEO(SEO{Title: rapid.String().Draw(t, "title"), Description: rapid.StringN(0, 1500, -1).Draw(t, "description")})
		if utf8.RuneCountInString(s.Title) > 100 || utf8.RuneCountInString(s.Description) > 1000 || strings.ContainsAny(s.Title+s.Description, "<>") {
			t.Fatalf("%q", s)
		}
	})
	if cut := closed("가평 “숲속하루"); cut != "가평" {
		t.Errorf("an open quotation is cut to %q", cut)
	}
}
