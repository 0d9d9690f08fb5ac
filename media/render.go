package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"castad/internal/fault"
	"castad/providers"
)

// Check reports whether ffmpeg runs with libx264 and aac, and every language has its font.
func (r *Renderer) Check() error {
	out, err := exec.Command(r.FFmpeg, "-hide_banner", "-encoders").Output()
	if err != nil {
		return fmt.Errorf("run ffmpeg: %w", err)
	}
	if !bytes.Contains(out, []byte(" libx264 ")) || !bytes.Contains(out, []byte(" aac ")) {
		return errors.New("ffmpeg lacks libx264 or aac")
	}
	var errs []error
	for _, l := range providers.Languages {
		_, err := r.face(l)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Render makes movie.mp4 and cover.jpg in dir, which exists. A canceled ctx leaves neither.
func (r *Renderer) Render(ctx context.Context, s Storyboard, dir string) (Movie, error) {
	if err := s.check(); err != nil {
		return Movie{}, err
	}
	t, err := r.typeface(s.Language)
	if err != nil {
		return Movie{}, err
	}
	photos, skipped := usable(s.Photos)
	if len(photos) == 0 {
		return Movie{}, fault.Stop("no_usable_photo", fmt.Errorf("%v", skipped))
	}
	m := Movie{Path: filepath.Join(dir, "movie.mp4"), Cover: filepath.Join(dir, "cover.jpg"), Frames: s.frames(), Skipped: skipped}
	m.Seconds = float64(m.Frames) / rate
	c := newComposer(s, photos, t.sprites(s))
	temp := filepath.Join(dir, ".movie.mp4")
	defer os.Remove(temp)
	if err := r.encode(ctx, s, c, temp); err != nil {
		return Movie{}, err
	}
	if err := c.cover(m.Cover); err != nil {
		return Movie{}, err
	}
	if err := os.Rename(temp, m.Path); err != nil {
		return Movie{}, errors.Join(fmt.Errorf("name movie: %w", err), os.Remove(m.Cover))
	}
	return m, nil
}

func (r *Renderer) typeface(l providers.Language) (*typeface, error) {
	t := &typeface{tag: l.Tag()}
	for _, l := range []providers.Language{l, providers.English, providers.Korean} {
		f, err := r.face(l)
		if err != nil {
			return nil, err
		}
		t.faces = append(t.faces, f)
	}
	return t, nil
}

func usable(paths []string) (good []string, skipped []Skipped) {
	for _, p := range paths {
		if _, err := loadPhoto(p); err != nil {
			skipped = append(skipped, Skipped{p, err.Error()})
			continue
		}
		good = append(good, p)
	}
	return good, skipped
}

func (r *Renderer) encode(ctx context.Context, s Storyboard, c *composer, path string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, r.FFmpeg, r.arguments(s, path)...)
	var said tail
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start ffmpeg: %w", err)
	}
	wrote := c.writeAll(ctx, in)
	if wrote != nil {
		in.Close()
	} else {
		wrote = in.Close()
	}
	if err := errors.Join(wrote, cmd.Wait()); err != nil {
		return fmt.Errorf("encode: %w: %s", err, said)
	}
	return nil
}

func (r *Renderer) arguments(s Storyboard, path string) []string {
	length := strconv.FormatFloat(float64(s.frames())/rate, 'f', 6, 64)
	fade := min(2, s.Seconds/4)
	args := strings.Fields(fmt.Sprintf("-nostdin -v error -y -f rawvideo -pix_fmt yuv420p -s %dx%d -r 30 -i pipe:0 -i SONG", s.Width, s.Height) +
		" -map 0:v -map 1:a -c:v libx264 -profile:v high -preset superfast -x264-params mbtree=1:rc-lookahead=10 -crf 20" +
		" -maxrate 20M -bufsize 25M -bf 2 -g 30 -pix_fmt yuv420p -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv" +
		fmt.Sprintf(" -threads %d -af apad,afade=t=out:st=%f:d=%f -c:a aac -b:a 192k -ar 48000 -ac 2", r.Threads, s.Seconds-fade, fade) +
		" -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -movflags +faststart+negative_cts_offsets -use_editlist 0 -t " + length + " -f mp4")
	args[slices.Index(args, "SONG")] = "file:" + s.Song // paths may hold spaces
	return append(args, "file:"+path)
}

// tail keeps the last 4 kB of what is written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	*t = (*t)[max(len(*t)-4096, 0):]
	return len(p), nil
}
