package media

import "math"

// sprite is a row of text in the frame, visible from start to end; sung is how its colour moves across.
type sprite struct {
	x, y, w, h int
	fill, edge []byte
	start, end float64
	sung       []mark
}

// mark says that at a time the sung colour has reached x, in pixels of the sprite.
type mark struct{ at, x float64 }

func newSprite(s strip, centre, top int, start, end float64) *sprite {
	b := s.mask.Rect
	w, h := b.Dx(), b.Dy()
	return &sprite{x: centre - w/2, y: top, w: w, h: h, fill: s.mask.Pix, edge: dilate(s.mask.Pix, w, h, max(s.pad/2, 1)), start: start, end: end}
}

// dilate widens a coverage by a disc.
func dilate(src []byte, w, h, radius int) []byte {
	out := make([]byte, len(src))
	for i, v := range src {
		if v == 0 {
			continue
		}
		x, y := i%w, i/w
		for dy := max(-radius, -y); dy <= min(radius, h-1-y); dy++ {
			half := int(math.Sqrt(float64(radius*radius - dy*dy)))
			for at := (y+dy)*w + max(x-half, 0); at <= (y+dy)*w+min(x+half, w-1); at++ {
				out[at] = max(out[at], v)
			}
		}
	}
	return out
}

// boundary is how far the sung colour has come at t.
func (s *sprite) boundary(t float64) float64 {
	for i, m := range s.sung {
		if t < m.at {
			if i == 0 {
				return 0
			}
			p := s.sung[i-1]
			return p.x + (m.x-p.x)*(t-p.at)/(m.at-p.at)
		}
	}
	if len(s.sung) == 0 {
		return 0
	}
	return s.sung[len(s.sung)-1].x
}

// blend draws the sprite as it is at t into p; strength fades it, 0 to 1.
func (s *sprite) blend(p picture, t, strength float64) {
	border := int(s.boundary(t))
	for y := range s.h {
		for x := range s.w {
			i, fx, fy := y*s.w+x, s.x+x, s.y+y
			if s.edge[i] == 0 || fx < 0 || fy < 0 || fx >= p[0].w || fy >= p[0].h {
				continue
			}
			colour := [3]int{235, 128, 128}
			if x < border {
				colour = [3]int{200, 62, 150}
			}
			edge, fill := int(float64(s.edge[i])*strength), int(float64(s.fill[i])*strength)
			at := fy*p[0].w + fx
			p[0].pix[at] = over(over(p[0].pix[at], 20, edge), colour[0], fill)
			if fx&1 == 0 && fy&1 == 0 {
				at = fy/2*p[1].w + fx/2
				p[1].pix[at] = over(over(p[1].pix[at], 128, edge), colour[1], fill)
				p[2].pix[at] = over(over(p[2].pix[at], 128, edge), colour[2], fill)
			}
		}
	}
}

func over(d byte, s, alpha int) byte { return byte(int(d) + (s-int(d))*alpha/255) }
