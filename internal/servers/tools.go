package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Media are the programs and files that making songs and videos takes.
type Media struct {
	FFmpeg    string // a program with libx264, aac and libmp3lame
	Fonts     string // a folder with the Noto faces of all six languages
	Soundfont string // "" where there is none: the synthesiser has sounds of its own
}

// Media finds ffmpeg, the fonts and a soundfont on this machine, or fetches them (about 145 MB, once). The error says
// what to do instead.
func (c Cache) Media(ctx context.Context) (Media, error) {
	var m Media
	var missing []string
	if path, err := exec.LookPath("ffmpeg"); err == nil {
		m.FFmpeg = path
	} else {
		missing = append(missing, "ffmpeg")
	}
	if fonts := "/usr/share/fonts"; hasFonts(fonts) {
		m.Fonts = fonts
	} else {
		missing = append(missing, "fonts-noto-cjk", "fonts-noto-core")
	}
	if found := soundfont("/"); found != "" {
		m.Soundfont = found
	} else {
		missing = append(missing, "timgm6mb-soundfont")
	}
	if m.FFmpeg != "" && m.Fonts != "" {
		return m, nil // a soundfont alone isn't worth a download
	}
	root, err := c.Packages(ctx, "media", missing...)
	if err != nil {
		return Media{}, fmt.Errorf("%w; or by hand: sudo apt-get install ffmpeg fonts-noto-cjk fonts-noto-core", err)
	}
	return unpackedMedia(m, root)
}

// unpackedMedia completes what the machine has with what was fetched, and checks that it came.
func unpackedMedia(m Media, root string) (Media, error) {
	var err error
	if m.FFmpeg == "" {
		if m.FFmpeg, err = wrapper(root, "usr/bin/ffmpeg"); err != nil {
			return Media{}, err
		}
	}
	if m.Fonts == "" {
		m.Fonts = filepath.Join(root, "usr", "share", "fonts")
		if !hasFonts(m.Fonts) {
			return Media{}, fmt.Errorf("the unpacked files lack the Noto fonts; remove %s and try again", root)
		}
	}
	if m.Soundfont == "" {
		m.Soundfont = soundfont(root)
	}
	return m, nil
}

// hasFonts looks for the faces that the renderer chooses from.
func hasFonts(dir string) bool {
	for _, face := range []string{"opentype/noto/NotoSansCJK-Bold.ttc", "truetype/noto/NotoSans-Bold.ttf", "truetype/noto/NotoSansThai-Bold.ttf"} {
		if _, err := os.Stat(filepath.Join(dir, face)); err != nil {
			return false
		}
	}
	return true
}

func soundfont(root string) string {
	path := filepath.Join(root, "usr/share/sounds/sf2/TimGM6mb.sf2")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
