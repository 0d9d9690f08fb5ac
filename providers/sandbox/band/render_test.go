package band

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRender_IsTheSameTwiceAndNeitherSilentNorClipped(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"ballad", "bright", "acoustic", "city pop", "lo-fi"} {
		s := compose(t, Order{Lyrics: "[Verse]\nStay here\n[Chorus]\nwith me tonight", Style: style})
		a, err := s.Render(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Render(t.Context(), filepath.Join(t.TempDir(), "no such font.sf2"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a, b) {
			t.Errorf("%s: two renderings differ", style)
		}
		if got, want := len(a), 2*samples(s.Seconds); got != want {
			t.Errorf("%s: got %d samples, want %d", style, got, want)
		}
		if got := loudest(a); got > math.MaxInt16*ceiling+1 || got < math.MaxInt16/4 {
			t.Errorf("%s: the loudest sample is %v", style, got)
		}
		if got := loudest(a[len(a)-200:]); got > 50 {
			t.Errorf("%s: the end is cut off at %v", style, got)
		}
		if got := loudness(fromPCM(a)); math.Abs(got-wantLoudness) > 0.5 {
			t.Errorf("%s: got %.2f LUFS, want %v", style, got, wantLoudness)
		}
	}
}

func loudest(pcm []int16) float64 {
	peak := 0.0
	for _, v := range pcm {
		peak = max(peak, math.Abs(float64(v)))
	}
	return peak
}

func fromPCM(pcm []int16) stereo {
	s := newStereo(len(pcm) / 2)
	for i := range s.left {
		s.left[i], s.right[i] = float32(pcm[2*i])/math.MaxInt16, float32(pcm[2*i+1])/math.MaxInt16
	}
	return s
}

// EBU Tech 3341, test case 1: a stereo sine of 1 kHz at -23 dBFS reads -23 LUFS.
func TestLoudness_OfTheReferenceTone(t *testing.T) {
	t.Parallel()
	s := newStereo(20 * rate)
	for i := range s.left {
		v := float32(math.Pow(10, -23.0/20) * math.Sin(2*math.Pi*1000*float64(i)/rate))
		s.left[i], s.right[i] = v, v
	}
	if got := loudness(s); math.Abs(got+23) > 0.1 {
		t.Errorf("got %.2f LUFS, want -23", got)
	}
}

func TestWriteMP3_QuickSongIsValidFrames(t *testing.T) {
	t.Parallel()
	s := compose(t, Order{Lyrics: "Stay here", Title: "숲속의\n하루", Quick: true})
	var out bytes.Buffer
	if err := s.WriteMP3(t.Context(), "no-such-ffmpeg", "", &out); err != nil {
		t.Fatal(err)
	}
	title, frames := walk(t, out.Bytes())
	if got, want := title, "숲속의 하루"; got != want {
		t.Errorf("title: got %q, want %q", got, want)
	}
	if got := float64(frames) * 1152 / 48000; math.Abs(got-s.Seconds) > 1e-9 {
		t.Errorf("got %v seconds of frames, want %v", got, s.Seconds)
	}
}

// walk reads an MP3 as a player does: the tag, then from header to header.
func walk(t *testing.T, mp3 []byte) (title string, frames int) {
	t.Helper()
	if string(mp3[:3]) == "ID3" {
		size := int(mp3[6])<<21 | int(mp3[7])<<14 | int(mp3[8])<<7 | int(mp3[9])
		title = string(mp3[21 : 10+size]) // after the tag's and the frame's headers and the encoding
		mp3 = mp3[10+size:]
	}
	bitrates := []int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320} // layer III, in 1000 bit/s
	rates := []int{44100, 48000, 32000}
	for ; len(mp3) > 0; frames++ {
		if len(mp3) < 4 || mp3[0] != 0xFF || mp3[1] != 0xFB {
			t.Fatalf("frame %d doesn't begin with a header of MPEG-1 layer III", frames)
		}
		size := 144*bitrates[mp3[2]>>4]*1000/rates[mp3[2]>>2&3] + int(mp3[2]>>1&1)
		if size > len(mp3) {
			t.Fatalf("frame %d is cut off", frames)
		}
		mp3 = mp3[size:]
	}
	return title, frames
}

func TestWriteMP3_TellsWhatTheProgramSaid(t *testing.T) {
	t.Parallel()
	s := compose(t, Order{Lyrics: "Stay here"})
	err := s.WriteMP3(t.Context(), "ls", "", new(bytes.Buffer)) // doesn't know ffmpeg's options
	if err == nil || !strings.Contains(err.Error(), "ls:") {
		t.Errorf("got %v, want the program's own words", err)
	}
}

func TestWriteMP3_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := compose(t, Order{Lyrics: "Stay here"}).WriteMP3(ctx, "ffmpeg", "", new(bytes.Buffer))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
