package media

import (
	"image"
	"strings"
	"unicode"

	"castad/providers"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/segmenter"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// typeface shapes text by runs: what its first face lacks is set in the next one.
type typeface struct {
	faces  []*font.Face
	tag    string
	shaper shaping.HarfbuzzShaper
}

// faceOf returns the first face that has the character, or nil.
func (t *typeface) faceOf(r rune) *font.Face {
	for _, f := range t.faces {
		if _, ok := f.NominalGlyph(r); ok {
			return f
		}
	}
	return nil
}

// clean drops what no face can draw: controls, variation selectors, emoji.
func (t *typeface) clean(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Variation_Selector, r) || t.faceOf(r) == nil {
			return -1
		}
		return r
	}, s)), " ")
}

// strip is one shaped row: its outlines' coverage, and the pen position before each rune.
type strip struct {
	mask  *image.Alpha
	pad   int
	pen   []float64
	width float64
}

func (t *typeface) shape(s string, size float64) (outs []shaping.Output) {
	text := []rune(s)
	for from := 0; from < len(text); {
		face, to := t.faceOf(text[from]), from+1
		for to < len(text) && (t.faceOf(text[to]) == face || text[to] == ' ' || unicode.IsMark(text[to])) {
			to++
		}
		script := language.Latin
		for _, r := range text[from:to] {
			if s := language.LookupScript(r); s != language.Common && s != language.Inherited {
				script = s
				break
			}
		}
		outs = append(outs, t.shaper.Shape(shaping.Input{Text: text, RunStart: from, RunEnd: to, Direction: di.DirectionLTR,
			Face: face, Size: fixed.Int26_6(size * 64), Script: script, Language: language.NewLanguage(t.tag)}))
		from = to
	}
	return outs
}

func (t *typeface) measure(s string, size float64) (w float64) {
	for _, o := range t.shape(s, size) {
		w += float64(o.Advance) / 64
	}
	return w
}

func (t *typeface) draw(s string, size float64) strip {
	outs := t.shape(s, size)
	out := strip{pad: int(size/8) + 2, pen: make([]float64, len([]rune(s))+1), width: t.measure(s, size)}
	w, h := int(out.width)+2*out.pad+2, int(size*1.6)+2*out.pad
	r := vector.NewRasterizer(w, h)
	x, base := float64(out.pad), float64(out.pad)+size*1.2
	last := 0
	for _, o := range outs {
		scale := size / float64(o.Face.Upem())
		for _, g := range o.Glyphs {
			for ; last <= g.TextIndex(); last++ {
				out.pen[last] = x
			}
			trace(r, o.Face, g.GlyphID, x+float64(g.XOffset)/64, base-float64(g.YOffset)/64, scale)
			x += float64(g.Advance) / 64
		}
	}
	for ; last < len(out.pen); last++ {
		out.pen[last] = x
	}
	out.mask = image.NewAlpha(image.Rect(0, 0, w, h))
	r.Draw(out.mask, out.mask.Rect, image.Opaque, image.Point{})
	return out
}

func trace(r *vector.Rasterizer, f *font.Face, id font.GID, x, y, scale float64) {
	outline, ok := f.GlyphData(id).(font.GlyphOutline)
	if !ok {
		return
	}
	for _, s := range outline.Segments {
		var p [6]float32
		for i, a := range s.Args {
			p[2*i], p[2*i+1] = float32(x+float64(a.X)*scale), float32(y-float64(a.Y)*scale)
		}
		switch s.Op {
		case opentype.SegmentOpMoveTo:
			r.ClosePath()
			r.MoveTo(p[0], p[1])
		case opentype.SegmentOpLineTo:
			r.LineTo(p[0], p[1])
		case opentype.SegmentOpQuadTo:
			r.QuadTo(p[0], p[1], p[2], p[3])
		case opentype.SegmentOpCubeTo:
			r.CubeTo(p[0], p[1], p[2], p[3], p[4], p[5])
		}
	}
	r.ClosePath()
}

// pieces cuts a line where it may be broken: between given words, at spaces, or by UAX 14 in Japanese and Chinese.
func pieces(text string, words []providers.Word, l providers.Language) (out []string) {
	rest := text
	for i, w := range words {
		at := strings.Index(rest, w.Text)
		if at < 0 || w.Text == "" {
			out = nil
			break
		}
		if i > 0 && at == 0 || at > 0 && len(out) > 0 {
			out[len(out)-1] += rest[:at]
			rest, at = rest[at:], 0
		}
		out, rest = append(out, rest[:at+len(w.Text)]), rest[at+len(w.Text):]
	}
	if len(out) > 1 {
		out[len(out)-1] += rest
		return out
	}
	if l != providers.Japanese && l != providers.Chinese {
		return strings.SplitAfter(text, " ")
	}
	var s segmenter.Segmenter
	s.Init([]rune(text))
	out = nil
	for it := s.LineIterator(); it.Next(); {
		out = append(out, string(it.Line().Text))
	}
	return out
}

// wrap breaks a line into at most two rows that are as equal as can be, and shrinks the size until they fit.
func (t *typeface) wrap(parts []string, size, width float64) ([]string, float64) {
	whole := strings.Join(parts, "")
	if t.measure(whole, size) <= width || len(parts) < 2 {
		return []string{whole}, size * min(1, width/max(t.measure(whole, size), 1))
	}
	best, rows := 1e9, []string(nil)
	for i := 1; i < len(parts); i++ {
		a, b := strings.Join(parts[:i], ""), strings.Join(parts[i:], "")
		if w := max(t.measure(a, size), t.measure(b, size)); w < best {
			best, rows = w, []string{a, b}
		}
	}
	return rows, size * min(1, width/best)
}
