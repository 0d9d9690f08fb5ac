package media

import (
	"math"
	"strings"

	"castad/providers"
)

// sprites lays out all text, inside the box that the platforms' own controls leave free (x 120-888, y 288-1248 of 1080x1920).
func (t *typeface) sprites(s Storyboard) (out []*sprite) {
	unit := float64(s.Width) / 1080
	y := float64(s.Height)
	intro := min(4, s.Seconds)
	out = append(out, t.block(s, s.Name, nil, 82*unit, y*.36, 0, intro, nil)...)
	out = append(out, t.block(s, s.Region, nil, 46*unit, y*.42, 0, intro, nil)...)
	out = append(out, t.block(s, s.Name, nil, 36*unit, y*.19, intro, s.Seconds, nil)...)
	for i, l := range s.Lines {
		end := min(l.End+.3, s.Seconds)
		if i+1 < len(s.Lines) && s.Lines[i+1].Start > l.Start {
			end = min(end, s.Lines[i+1].Start-.25)
		}
		if end > l.Start {
			out = append(out, t.block(s, l.Text, pieces(t.clean(l.Text), l.Words, s.Language), 62*unit, y*.64, max(l.Start-.25, 0), end, l.Words)...)
		}
	}
	return out
}

func (t *typeface) block(s Storyboard, text string, parts []string, size, bottom, start, end float64, words []providers.Word) (out []*sprite) {
	text = t.clean(text)
	if text == "" {
		return nil
	}
	if parts == nil {
		parts = strings.SplitAfter(text, " ")
	}
	rows, size := t.wrap(parts, size, float64(s.Width)*740/1080)
	for i, row := range rows {
		row = strings.TrimRight(row, " ")
		st := t.draw(row, size)
		top := int(math.Round(bottom - float64(len(rows)-i)*size*1.35 - float64(st.pad)))
		sp := newSprite(st, s.Width*504/1080, top, start, end)
		sp.sung, words = marks(row, st.pen, words)
		out = append(out, sp)
	}
	return out
}

// marks are the pen positions at the words' times; it returns the words that belong to later rows.
func marks(row string, pen []float64, words []providers.Word) (out []mark, rest []providers.Word) {
	at, last := 0, 0.0
	for i, w := range words {
		text := strings.TrimSpace(w.Text) // song services leave spaces and line ends on their words
		if text == "" {
			continue
		}
		k := strings.Index(row[at:], text)
		if k < 0 {
			return out, words[i:]
		}
		from, to := at+k, at+k+len(text)
		last = max(last, w.Start)
		out = append(out, mark{last, pen[len([]rune(row[:from]))]})
		last = max(last, w.End)
		out = append(out, mark{last, pen[len([]rune(row[:to]))]})
		at = to
	}
	return out, nil
}
