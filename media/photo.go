package media

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"
)

const (
	maxPhotoBytes  = 64 << 20
	maxPhotoPixels = 80_000_000
	zoomMost       = 1.12 // a working picture is this much larger than the frame
)

// loadPhoto decodes a picture by its content and turns it upright.
func loadPhoto(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.New("unreadable")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPhotoBytes+1))
	if err != nil || len(data) > maxPhotoBytes {
		return nil, fmt.Errorf("unreadable or larger than %d bytes", maxPhotoBytes)
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not a JPEG, PNG, WebP or GIF: %w", err)
	}
	if c.Width < 16 || c.Height < 16 || c.Width > maxPhotoPixels/c.Height {
		return nil, fmt.Errorf("%dx%d pixels", c.Width, c.Height)
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	return upright(img, orientation(data)), nil
}

// turned shows a picture as its EXIF orientation (2 to 8) wants it.
type turned struct {
	image.Image
	how int
}

func upright(img image.Image, how int) image.Image {
	if how < 2 || how > 8 {
		return img
	}
	t := turned{img, how}
	out := image.NewRGBA(t.Bounds())
	draw.Draw(out, out.Rect, t, image.Point{}, draw.Src)
	return out
}

// Bounds starts at the origin; orientations from 5 on swap the sides.
func (t turned) Bounds() image.Rectangle {
	s := t.Image.Bounds().Size()
	if t.how >= 5 {
		s.X, s.Y = s.Y, s.X
	}
	return image.Rectangle{Max: s}
}

// At returns the colour of an upright pixel.
func (t turned) At(x, y int) color.Color {
	b := t.Image.Bounds()
	if t.how >= 5 {
		x, y = y, x
	}
	if t.how == 2 || t.how == 3 || t.how == 7 || t.how == 8 {
		x = b.Dx() - 1 - x
	}
	if t.how == 3 || t.how == 4 || t.how == 6 || t.how == 7 {
		y = b.Dy() - 1 - y
	}
	return t.Image.At(b.Min.X+x, b.Min.Y+y)
}

// prepare makes the working picture of a photo for frames of w by h; take shifts the crop when a photo is used again.
func prepare(img image.Image, w, h, take int) picture {
	w, h = even(float64(w)*zoomMost), even(float64(h)*zoomMost)
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	b := img.Bounds()
	crop := cover(b, w, h, take)
	if crop.Dx()*2 >= b.Dx() && crop.Dy()*2 >= b.Dy() && crop.Dx()*2 >= w {
		draw.CatmullRom.Scale(out, out.Rect, img, crop, draw.Src, nil)
		return toYUV(out)
	}
	tiny := image.NewRGBA(image.Rect(0, 0, 18, 32))
	draw.CatmullRom.Scale(tiny, tiny.Rect, img, crop, draw.Src, nil)
	draw.CatmullRom.Scale(out, out.Rect, tiny, tiny.Rect, draw.Src, nil)
	draw.Draw(out, out.Rect, image.NewUniform(color.RGBA{A: 110}), image.Point{}, draw.Over)
	draw.CatmullRom.Scale(out, fit(b, w, h), img, b, draw.Over, nil)
	return toYUV(out)
}

func even(x float64) int { return int(x+1) &^ 1 }

// cover is the part of b that has the shape of w by h; the first take is the middle.
func cover(b image.Rectangle, w, h, take int) image.Rectangle {
	cw, ch := b.Dx(), b.Dx()*h/w
	if ch > b.Dy() {
		cw, ch = b.Dy()*w/h, b.Dy()
	}
	third := []int{2, 1, 3}[take%3]
	x, y := b.Min.X+(b.Dx()-cw)*third/4, b.Min.Y+(b.Dy()-ch)*third/4
	return image.Rect(x, y, x+max(cw, 1), y+max(ch, 1))
}

// fit is where a picture of b's shape stands whole inside w by h.
func fit(b image.Rectangle, w, h int) image.Rectangle {
	fw, fh := w, b.Dy()*w/b.Dx()
	if fh > h {
		fw, fh = b.Dx()*h/b.Dy(), h
	}
	return image.Rect((w-fw)/2, (h-fh)/2, (w+fw)/2, (h+fh)/2)
}
