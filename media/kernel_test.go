package media

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWindowAtScaleOneCopies(t *testing.T) {
	t.Parallel()
	src, got := newPicture(16, 16), newPicture(16, 16)
	for _, p := range src {
		for i := range p.pix {
			p.pix[i] = byte(i * 7)
		}
	}
	window(got, src, 0, 0, 1, 128)
	for i := range got {
		if diff := cmp.Diff(src[i].pix, got[i].pix); diff != "" {
			t.Errorf("plane %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestBoundaryFollowsWords(t *testing.T) {
	t.Parallel()
	s := sprite{sung: []mark{{1, 10}, {2, 30}}}
	got := []float64{s.boundary(.5), s.boundary(1), s.boundary(1.5), s.boundary(3)}
	if diff := cmp.Diff([]float64{0, 10, 20, 30}, got); diff != "" {
		t.Errorf("boundary (-want +got):\n%s", diff)
	}
}
