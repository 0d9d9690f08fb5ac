package band

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// WriteMP3 renders the song and writes it to w as an MP3 of 192 kbit/s with the title in its
// tag. ffmpeg is the program's path or name; a quick song needs none. Ending ctx ends the
// program too, and leaves no file behind. See Render for soundfont.
func (s *Song) WriteMP3(ctx context.Context, ffmpeg, soundfont string, w io.Writer) error {
	if s.quick {
		return s.writeSilence(w)
	}
	pcm, err := s.Render(ctx, soundfont)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "band-")
	if err != nil {
		return fmt.Errorf("encode song: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "song.mp3")
	if err := s.encode(ctx, ffmpeg, pcm, path); err != nil {
		return fmt.Errorf("encode song: %w", err)
	}
	return copyFile(w, path)
}

// encode writes an MP3 to a file and not to a pipe: only there ffmpeg can go back to write
// the header that tells players to skip the coder's delay, and word times stay exact.
func (s *Song) encode(ctx context.Context, ffmpeg string, pcm []int16, path string) error {
	cmd := exec.CommandContext(ctx, ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin",
		"-f", "s16le", "-ar", strconv.Itoa(SampleRate), "-ac", "2", "-i", "pipe:0",
		"-c:a", "libmp3lame", "-b:a", "192k", "-metadata", "title="+oneLine(s.title),
		"-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact", "-id3v2_version", "4", "-f", "mp3", path)
	stderr := &tailWriter{limit: 4 << 10}
	cmd.Stdin, cmd.Stderr = littleEndian(pcm), stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return errors.Join(err, stderr.err())
	}
	return nil
}

func littleEndian(pcm []int16) io.Reader {
	raw := make([]byte, 0, 2*len(pcm))
	for _, v := range pcm {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
	}
	return bytes.NewReader(raw)
}

func copyFile(w io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read encoded song: %w", err)
	}
	defer file.Close()
	if _, err := io.Copy(w, file); err != nil {
		return fmt.Errorf("write song: %w", err)
	}
	return nil
}

// oneLine keeps a title from breaking the tag or the argument it stands in.
func oneLine(title string) string {
	title = strings.ToValidUTF8(title, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, title))
}

// tailWriter keeps the last bytes written to it.
type tailWriter struct {
	limit int
	kept  []byte
}

func (t *tailWriter) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

// err is what the program said, or nil if it said nothing.
func (t *tailWriter) err() error {
	if text := strings.TrimSpace(string(t.kept)); text != "" {
		return errors.New(strings.ToValidUTF8(text, ""))
	}
	return nil
}
