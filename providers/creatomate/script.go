package creatomate

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"castad/providers"
)

const (
	fadeSeconds    = 0.8 // of a cross-fade; the two photos overlap by it
	maxShotSeconds = 8.0 // a longer still looks like a fault, so photos come again
	minShotSeconds = 2.5
	maxLineRunes   = 18 // a longer line is broken once, near its middle
)

// script is the part of RenderScript that is used here (creatomate.com/docs/api/render-script).
type script struct {
	OutputFormat string    `json:"output_format,omitempty"`
	Width        int       `json:"width,omitempty"`
	Height       int       `json:"height,omitempty"`
	FrameRate    int       `json:"frame_rate,omitempty"`
	Duration     float64   `json:"duration,omitempty"` // seconds
	FillColor    string    `json:"fill_color,omitempty"`
	Elements     []element `json:"elements,omitempty"`
}

type element struct {
	Type          string      `json:"type"`
	Name          string      `json:"name"`
	Track         int         `json:"track"`
	Time          *float64    `json:"time,omitempty"` // none: after the one before it on its track
	Duration      *float64    `json:"duration,omitempty"`
	Source        string      `json:"source,omitempty"`
	Text          string      `json:"text,omitempty"`
	Fit           string      `json:"fit,omitempty"`
	Clip          bool        `json:"clip,omitempty"`
	X             string      `json:"x,omitempty"`
	Y             string      `json:"y,omitempty"`
	Width         string      `json:"width,omitempty"`
	Height        string      `json:"height,omitempty"`
	XAlignment    string      `json:"x_alignment,omitempty"`
	YAlignment    string      `json:"y_alignment,omitempty"`
	FontFamily    string      `json:"font_family,omitempty"`
	FontWeight    string      `json:"font_weight,omitempty"`
	FontSizeMax   string      `json:"font_size_maximum,omitempty"`
	FillColor     string      `json:"fill_color,omitempty"`
	StrokeColor   string      `json:"stroke_color,omitempty"`
	StrokeWidth   string      `json:"stroke_width,omitempty"`
	AudioFadeOut  float64     `json:"audio_fade_out,omitempty"`
	AnimationList []animation `json:"animations,omitempty"`
}

type animation struct {
	Type       string  `json:"type"`
	Time       any     `json:"time"` // seconds or "start"
	Duration   float64 `json:"duration"`
	Scope      string  `json:"scope,omitempty"`
	StartScale string  `json:"start_scale,omitempty"`
	EndScale   string  `json:"end_scale,omitempty"`
	Easing     string  `json:"easing,omitempty"`
	Transition bool    `json:"transition,omitempty"`
}

// scriptOf lays a composition out: photos on track 1, titles on 2 and 3, lyric lines on 4, the song on 5.
func scriptOf(c providers.Composition) script {
	s := script{OutputFormat: "mp4", Width: c.Width, Height: c.Height, FrameRate: 30,
		Duration: millis(c.Seconds), FillColor: "#000000"}
	s.Elements = append(s.Elements, shots(c.Photos, c.Seconds)...)
	s.Elements = append(s.Elements, titles(c)...)
	s.Elements = append(s.Elements, lines(c)...)
	s.Elements = append(s.Elements, element{Type: "audio", Name: "Song", Track: 5, Time: new(float64),
		Duration: at(c.Seconds), Source: c.SongURL, AudioFadeOut: math.Min(1.5, c.Seconds/4)})
	return s
}

// shots fills seconds with photos. n shots of length d overlap n-1 times, so n·d − (n−1)·fade = seconds;
// the last one takes what rounding to milliseconds leaves.
func shots(photos []string, seconds float64) []element {
	n := shotCount(len(photos), seconds)
	fade := millis(math.Min(fadeSeconds, seconds/float64(n)/3))
	length := millis((seconds + float64(n-1)*fade) / float64(n))
	out := make([]element, n)
	for i := range out {
		d := length
		if i == n-1 {
			d = millis(seconds - float64(n-1)*(length-fade))
		}
		out[i] = shot(i, photos[i%len(photos)], d, fade)
	}
	return out
}

func shotCount(photos int, seconds float64) int {
	n := max(photos, int(math.Ceil(seconds/maxShotSeconds)))
	return max(1, min(n, int(seconds/minShotSeconds)))
}

// shot moves slowly in, every second one slowly out; all but the first fade in over the one before.
func shot(i int, source string, seconds, fade float64) element {
	from, to := "100%", "112%"
	if i%2 == 1 {
		from, to = to, from
	}
	e := element{Type: "image", Name: fmt.Sprintf("Photo-%d", i+1), Track: 1, Duration: at(seconds),
		Source: source, Fit: "cover", Clip: true,
		AnimationList: []animation{{Type: "scale", Time: 0, Duration: seconds, Scope: "element",
			StartScale: from, EndScale: to, Easing: "linear"}}}
	if i == 0 {
		e.Time = new(float64)
		return e
	}
	e.AnimationList = append(e.AnimationList, animation{Type: "fade", Time: "start", Duration: fade, Transition: true})
	return e
}

func titles(c providers.Composition) []element {
	var out []element
	for i, title := range []struct{ name, text, y, size string }{
		{"Name", c.Name, "12%", "9 vmin"}, {"Region", c.Region, "18%", "5 vmin"},
	} {
		if title.text == "" {
			continue
		}
		e := text(c.Language, title.name, title.text, 2+i, 0, c.Seconds)
		e.Y, e.Height, e.FontSizeMax = title.y, "8%", title.size
		out = append(out, e)
	}
	return out
}

// lines shows each lyric line exactly while it is sung; one that would run into the next ends there,
// because elements of one track must not overlap.
func lines(c providers.Composition) []element {
	var out []element
	for i, line := range c.Lines {
		end := math.Min(line.End, c.Seconds)
		if i+1 < len(c.Lines) {
			end = math.Min(end, c.Lines[i+1].Start)
		}
		start := math.Max(line.Start, 0)
		if strings.TrimSpace(line.Text) == "" || end-start < 0.05 {
			continue
		}
		e := text(c.Language, fmt.Sprintf("Line-%d", i+1), broken(line.Text), 4, start, end-start)
		e.Y, e.Height, e.FontSizeMax = "78%", "20%", "8 vmin"
		out = append(out, e)
	}
	return out
}

func text(lang providers.Language, name, content string, track int, start, seconds float64) element {
	return element{Type: "text", Name: name, Track: track, Time: at(start), Duration: at(seconds), Text: content,
		X: "50%", Width: "88%", XAlignment: "50%", YAlignment: "50%", FontFamily: font(lang), FontWeight: "700",
		FillColor: "#ffffff", StrokeColor: "#000000", StrokeWidth: "0.6 vmin"}
}

// font names a Google font that has the language's letters.
func font(lang providers.Language) string {
	switch lang {
	case providers.Korean:
		return "Noto Sans KR"
	case providers.Chinese:
		return "Noto Sans SC"
	case providers.Japanese:
		return "Noto Sans JP"
	case providers.Thai:
		return "Noto Sans Thai"
	default:
		return "Noto Sans"
	}
}

// broken puts a line feed in place of the blank that is nearest to the middle of a long line.
// Scripts without blanks are left to the renderer's own wrapping.
func broken(line string) string {
	total := utf8.RuneCountInString(line)
	if total <= maxLineRunes {
		return line
	}
	best, distance, seen := -1, total, 0
	for i, r := range line {
		if d := max(2*seen-total, total-2*seen); r == ' ' && d < distance {
			best, distance = i, d
		}
		seen++
	}
	if best < 0 {
		return line
	}
	return line[:best] + "\n" + line[best+1:]
}

func at(seconds float64) *float64 {
	s := millis(seconds)
	return &s
}

func millis(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }
