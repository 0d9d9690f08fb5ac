package main

import (
	"context"
	"unicode"

	"castad/media"
	"castad/providers"
	"castad/providers/sandbox"
)

// renderer lets our own renderer make what the sandbox's render service was asked for.
type renderer struct{ media *media.Renderer }

// newRenderer returns nil, and so the sandbox's tiny videos, where nothing is to be rendered.
func newRenderer(set settings) (sandbox.Renderer, error) {
	if set.Tempo == "quick" {
		return nil, nil
	}
	r := &media.Renderer{FFmpeg: set.FFmpeg, FontDir: set.Fonts}
	return renderer{media: r}, r.Check()
}

// Render makes the video of a scene.
func (r renderer) Render(ctx context.Context, scene sandbox.Scene, dir string) (movie, cover string, err error) {
	story := media.Storyboard{Photos: scene.Photos, Song: scene.Song, Seconds: scene.Seconds, Name: scene.Name, Region: scene.Region,
		Language: languageOf(scene), Width: scene.Width, Height: scene.Height}
	for _, line := range scene.Lines {
		story.Lines = append(story.Lines, providers.Line{Text: line.Text, Start: line.Start, End: line.End})
	}
	made, err := r.media.Render(ctx, story, dir)
	return made.Path, made.Cover, err
}

// languageOf tells the language of a scene's lyrics by their script, for the choice of the face: a Chinese line in a
// Japanese face looks foreign to its readers.
func languageOf(scene sandbox.Scene) providers.Language {
	found := map[*unicode.RangeTable]bool{}
	scripts := []*unicode.RangeTable{unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Han}
	for _, line := range scene.Lines {
		for _, letter := range line.Text {
			for _, script := range scripts {
				if unicode.Is(script, letter) {
					found[script] = true
				}
			}
		}
	}
	switch {
	case found[unicode.Hiragana] || found[unicode.Katakana]:
		return providers.Japanese
	case found[unicode.Hangul]:
		return providers.Korean
	case found[unicode.Thai]:
		return providers.Thai
	case found[unicode.Han]:
		return providers.Chinese
	}
	return providers.Vietnamese // its face has all Latin letters
}
