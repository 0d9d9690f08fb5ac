package media

import "math"

// plane is one 8-bit component of a picture.
type plane struct {
	w, h int
	pix  []byte
}

// picture is a YUV 4:2:0 picture with left-sited chroma.
type picture [3]plane

func newPicture(w, h int) picture {
	buf := make([]byte, w*h*3/2)
	c := w * h / 4
	return picture{{w, h, buf[:w*h]}, {w / 2, h / 2, buf[w*h : w*h+c]}, {w / 2, h / 2, buf[w*h+c:]}}
}

// tap is where one output sample comes from: four clamped source indices and weights that add up to 16384.
type tap struct{ at, weight [4]int32 }

// taps maps output index i to source index scale*i+shift with Catmull-Rom weights.
func taps(n, limit int, scale, shift float64) []tap {
	out := make([]tap, n)
	for i := range out {
		x := scale*float64(i) + shift
		base := math.Floor(x)
		f := x - base
		w := [4]float64{f * (-0.5 + f*(1-0.5*f)), 1 + f*f*(-2.5+1.5*f), f * (0.5 + f*(2-1.5*f)), f * f * (-0.5 + 0.5*f)}
		var sum int32
		for k := range w {
			out[i].at[k] = int32(min(max(int(base)-1+k, 0), limit-1))
			out[i].weight[k] = int32(math.Round(w[k] * 16384))
			sum += out[i].weight[k]
		}
		out[i].weight[1] += 16384 - sum
	}
	return out
}

// resample draws src into dst through the two tap tables, mixed over what is there by mix (0 to 128).
// Each source row is resampled across once; the last four are kept.
func resample(dst, src plane, across, down []tap, mix int32) {
	var rows [4][]int32
	held := [4]int32{-1, -1, -1, -1}
	for i := range rows {
		rows[i] = make([]int32, dst.w)
	}
	for y, t := range down {
		for _, at := range t.at {
			if held[at&3] != at {
				stretch(rows[at&3], src.pix[int(at)*src.w:(int(at)+1)*src.w], across)
				held[at&3] = at
			}
		}
		r0, r1, r2, r3 := rows[t.at[0]&3], rows[t.at[1]&3], rows[t.at[2]&3], rows[t.at[3]&3]
		line := dst.pix[y*dst.w : (y+1)*dst.w]
		for x := range line {
			v := (r0[x]*t.weight[0] + r1[x]*t.weight[1] + r2[x]*t.weight[2] + r3[x]*t.weight[3] + 1<<17) >> 18
			v = min(max(v, 0), 255)
			if mix < 128 {
				d := int32(line[x])
				v = d + ((v-d)*mix+64)>>7
			}
			line[x] = byte(v)
		}
	}
}

// stretch resamples one row to 12 bits: sixteen times the sample.
func stretch(dst []int32, src []byte, across []tap) {
	for x := range across {
		t := &across[x]
		dst[x] = (int32(src[t.at[0]])*t.weight[0] + int32(src[t.at[1]])*t.weight[1] +
			int32(src[t.at[2]])*t.weight[2] + int32(src[t.at[3]])*t.weight[3] + 512) >> 10
	}
}

// window draws the part of src that starts at x, y and is scale times as large as dst.
func window(dst, src picture, x, y, scale float64, mix int32) {
	c := 0.5*scale - 0.5
	resample(dst[0], src[0], taps(dst[0].w, src[0].w, scale, x+c), taps(dst[0].h, src[0].h, scale, y+c), mix)
	across := taps(dst[1].w, src[1].w, scale, (x+c)/2) // left-sited: chroma i lies on luma 2i
	down := taps(dst[1].h, src[1].h, scale, y/2+c)
	resample(dst[1], src[1], across, down, mix)
	resample(dst[2], src[2], across, down, mix)
}
