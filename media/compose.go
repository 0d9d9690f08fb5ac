package media

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math"
	"os"
)

// composer draws frames; it holds the working pictures of three clips at most.
type composer struct {
	story   Storyboard
	photos  []string
	texts   []*sprite
	clips   int
	working map[int]picture
	frame   picture
}

func newComposer(s Storyboard, photos []string, texts []*sprite) *composer {
	clips := max(1, int(math.Round(s.Seconds/5)))
	return &composer{s, photos, texts, clips, map[int]picture{}, newPicture(s.Width, s.Height)}
}

func (c *composer) writeAll(ctx context.Context, w io.Writer) error {
	for n := range c.story.frames() {
		if err := errors.Join(ctx.Err(), c.draw(float64(n)/rate, false)); err != nil {
			return err
		}
		for _, p := range c.frame {
			if _, err := w.Write(p.pix); err != nil {
				return fmt.Errorf("pipe frame %d: %w", n, err)
			}
		}
	}
	return nil
}

// draw composes the frame at t; a cover has the title in full and no fades.
func (c *composer) draw(t float64, cover bool) error {
	each := c.story.Seconds / float64(c.clips)
	fade := min(.8, each/4)
	i := min(int(t/each), c.clips-1)
	if err := c.clip(i, t-float64(i)*each, each+fade, 128); err != nil {
		return err
	}
	if left := float64(i+1)*each - t; !cover && i+1 < c.clips && left < fade {
		if err := c.clip(i+1, fade-left-fade, each+fade, int32(128*(1-left/fade))); err != nil {
			return err
		}
	}
	c.shade()
	for _, s := range c.texts {
		strength := min((t-s.start)/.25, (s.end-t)/.25, (c.story.Seconds-t)/.3, 1)
		if cover && s.start == 0 {
			strength = 1
		} else if cover {
			strength = 0
		}
		if strength > 0 {
			s.blend(c.frame, t, strength)
		}
	}
	return nil
}

// clip draws clip i, its age from -fade on; even clips zoom in, odd ones out.
func (c *composer) clip(i int, age, length float64, mix int32) error {
	delete(c.working, i-2) // i-1 may still be fading out
	src, ok := c.working[i]
	if !ok {
		img, err := loadPhoto(c.photos[i%len(c.photos)])
		if err != nil {
			return fmt.Errorf("load photo %d again: %w", i, err)
		}
		src = prepare(img, c.story.Width, c.story.Height, i/len(c.photos))
		c.working[i] = src
	}
	share := (age + .8) / (length + .8)
	if i%2 == 1 {
		share = 1 - share
	}
	scale := zoomMost - (zoomMost-1.01)*min(max(share, 0), 1)
	x := (float64(src[0].w) - scale*float64(c.story.Width)) / 2
	y := (float64(src[0].h) - scale*float64(c.story.Height)) / 2
	window(c.frame, src, max(x, 0), max(y, 0), scale, mix)
	return nil
}

// shade darkens softly behind the badge and the lyrics.
func (c *composer) shade() {
	p := c.frame[0]
	for y := range p.h {
		at := float64(y) / float64(p.h)
		dark := .45*bell((at-.17)/.08) + .5*bell((at-.60)/.10)
		if dark < .01 {
			continue
		}
		keep := int((1 - dark) * 256)
		for x := y * p.w; x < (y+1)*p.w; x++ {
			p.pix[x] = byte(16 + (int(p.pix[x])-16)*keep>>8)
		}
	}
}

// cover writes the title over the first clip's middle.
func (c *composer) cover(path string) error {
	clear(c.working)
	if err := c.draw(c.story.Seconds/float64(c.clips)/2, true); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create cover: %w", err)
	}
	if err := errors.Join(jpeg.Encode(f, fullRange(c.frame), &jpeg.Options{Quality: 88}), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write cover: %w", err), os.Remove(path))
	}
	return nil
}

// fullRange turns BT.709 limited range into RGB for a still picture.
func fullRange(p picture) image.Image {
	out := image.NewRGBA(image.Rect(0, 0, p[0].w, p[0].h))
	for y := range p[0].h {
		for x := range p[0].w {
			l := 1.16438 * (float64(p[0].pix[y*p[0].w+x]) - 16)
			u, v := float64(p[1].pix[y/2*p[1].w+x/2])-128, float64(p[2].pix[y/2*p[2].w+x/2])-128
			for k, s := range [4]float64{l + 1.79274*v, l - .21325*u - .53291*v, l + 2.1124*u, 255} {
				out.Pix[out.PixOffset(x, y)+k] = byte(min(max(s+.5, 0), 255))
			}
		}
	}
	return out
}

// bell is 1 at 0 and falls smoothly to 0 on both sides.
func bell(x float64) float64 { return math.Exp(-x * x) }
