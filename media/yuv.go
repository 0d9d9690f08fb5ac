package media

import "image"

// toYUV converts to BT.709 limited range, with chroma sited left: 1-2-1 across, two rows down.
func toYUV(m *image.RGBA) picture {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := newPicture(w, h)
	at := func(x, y int) (int, int, int) {
		i := m.PixOffset(min(max(x, 0), w-1), y)
		return int(m.Pix[i]), int(m.Pix[i+1]), int(m.Pix[i+2])
	}
	for y := range h {
		for x := range w {
			l, _, _ := yuv(at(x, y))
			out[0].pix[y*w+x] = l
		}
	}
	for y := 0; y < h; y += 2 {
		for x := 0; x < w; x += 2 {
			var r, g, b int
			for k, weight := range [3]int{1, 2, 1} {
				r0, g0, b0 := at(x+k-1, y)
				r1, g1, b1 := at(x+k-1, y+1)
				r, g, b = r+weight*(r0+r1), g+weight*(g0+g1), b+weight*(b0+b1)
			}
			_, u, v := yuv((r+4)/8, (g+4)/8, (b+4)/8)
			out[1].pix[y/2*(w/2)+x/2], out[2].pix[y/2*(w/2)+x/2] = u, v
		}
	}
	return out
}

// yuv converts one 8-bit colour; the weights are BT.709's, in 1/65536.
func yuv(r, g, b int) (y, u, v byte) {
	y = byte(16 + (11966*r+40254*g+4064*b+32768)>>16)
	u = byte(128 + (-6596*r-22189*g+28784*b+32768)>>16)
	v = byte(128 + (28784*r-26145*g-2639*b+32768)>>16)
	return y, u, v
}
