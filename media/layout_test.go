package media

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"castad/providers"

	"github.com/google/go-cmp/cmp"
)

func TestMarksGoOnInTheNextRow(t *testing.T) {
	t.Parallel()
	words := []providers.Word{{Text: "ab ", Start: 1, End: 2}, {Text: "cd ", Start: 2, End: 3}, {Text: "ef\n", Start: 3, End: 4}}
	pen := []float64{0, 1, 2, 3, 4, 5}
	first, rest := marks("ab cd", pen, words)
	second, none := marks("ef", pen, rest)
	got := [][]mark{first, second}
	want := [][]mark{{{1, 0}, {2, 2}, {2, 3}, {3, 5}}, {{3, 0}, {4, 2}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mark{})); diff != "" || none != nil {
		t.Errorf("left %v, marks (-want +got):\n%s", none, diff)
	}
}

func TestFadeKeepsBothWorkingPictures(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "photo.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, image.NewRGBA(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	f.Close()
	c := newComposer(Storyboard{Seconds: 10, Width: 64, Height: 64}, []string{path}, nil)
	if err := c.draw(4.8, false); err != nil {
		t.Fatal(err)
	}
	if got, want := len(c.working), 2; got != want {
		t.Errorf("%d working pictures in a fade, want %d", got, want)
	}
}
