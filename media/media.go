// Package media is the built-in renderer: photos, a song and timed lyrics become a vertical video.
//
// Frames are composed here, in YUV 4:2:0 (BT.709, limited range), and piped raw into one ffmpeg child that only
// encodes and muxes. Start with Renderer.
package media

import (
	"errors"
	"fmt"
	"math"

	"castad/internal/fault"
	"castad/providers"
)

const (
	rate       = 30 // frames a second
	maxSeconds = 600
	maxPhotos  = 60
	maxLines   = 400
	maxRunes   = 200 // of the name, the region or one line
)

// Storyboard is all that a video is made of. Photos and Song are local paths; Width and Height are even pixels.
type Storyboard struct {
	Photos        []string
	Song          string
	Seconds       float64 // of the song, and so of the video; at most 600
	Lines         []providers.Line
	Name, Region  string
	Language      providers.Language
	Mood          string
	Width, Height int
}

// Movie is a finished video and its cover, as paths inside the directory that Render was given.
type Movie struct {
	Path, Cover string
	Seconds     float64
	Frames      int
	Skipped     []Skipped
}

// Skipped is a photo that the movie does without.
type Skipped struct{ Photo, Reason string }

// Renderer makes movies. FFmpeg is the program's path; FontDir holds the Noto fonts anywhere below it.
type Renderer struct {
	FFmpeg  string
	FontDir string
	Threads int // of the encoder; 0 leaves it to the encoder
}

func (s Storyboard) frames() int { return int(math.Round(s.Seconds * rate)) }

func (s Storyboard) check() error {
	err := errors.Join(s.checkSize(), s.checkText())
	if err != nil {
		return fault.Stop("storyboard_invalid", err)
	}
	return nil
}

func (s Storyboard) checkSize() error {
	switch {
	case !(s.Seconds >= 1 && s.Seconds <= maxSeconds):
		return fmt.Errorf("%g seconds are outside 1 to %d", s.Seconds, maxSeconds)
	case s.Width < 64 || s.Height < 64 || s.Width > 2160 || s.Height > 3840 || s.Width%2+s.Height%2 != 0:
		return fmt.Errorf("frame of %dx%d", s.Width, s.Height)
	case len(s.Photos) == 0 || len(s.Photos) > maxPhotos:
		return fmt.Errorf("%d photos are outside 1 to %d", len(s.Photos), maxPhotos)
	}
	return nil
}

func (s Storyboard) checkText() error {
	if !s.Language.Known() {
		return fmt.Errorf("unknown language %q", s.Language)
	}
	if len(s.Lines) > maxLines {
		return fmt.Errorf("%d lyric lines are more than %d", len(s.Lines), maxLines)
	}
	for _, text := range append([]string{s.Name, s.Region}, lineTexts(s.Lines)...) {
		if len([]rune(text)) > maxRunes {
			return fmt.Errorf("a text is longer than %d characters", maxRunes)
		}
	}
	return nil
}

func lineTexts(lines []providers.Line) (out []string) {
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return out
}
