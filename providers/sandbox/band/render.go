package band

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/sinshu/go-meltysynth/meltysynth"
)

// SampleRate is that of rendered songs, in frames a second; they have two channels.
const SampleRate = rate

// Render plays the song to interleaved stereo samples of 16 bits, Seconds long, at about -14 LUFS.
//
// soundfont is the path of a General MIDI soundfont in SF2 format. With "", or when no such
// file exists, voices built into the package play instead. Two calls give the same samples.
// A quick song is silent. The only errors are a soundfont that can't be read and ctx's.
func (s *Song) Render(ctx context.Context, soundfont string) ([]int16, error) {
	if s.quick {
		return make([]int16, 2*samples(s.Seconds)), nil
	}
	mix, err := s.play(ctx, soundfont)
	if err != nil {
		return nil, fmt.Errorf("render song: %w", err)
	}
	master(mix)
	return mix.pcm(), nil
}

func (s *Song) play(ctx context.Context, soundfont string) (stereo, error) {
	if soundfont == "" {
		return s.perform(ctx)
	}
	file, err := os.Open(soundfont)
	if errors.Is(err, fs.ErrNotExist) {
		return s.perform(ctx)
	} else if err != nil {
		return stereo{}, err
	}
	defer file.Close()
	font, err := meltysynth.NewSoundFont(file)
	if err != nil {
		return stereo{}, fmt.Errorf("read soundfont %s: %w", soundfont, err)
	}
	return s.performWith(ctx, font)
}

// message is one MIDI message at a time, in frames.
type message struct {
	frame               int
	channel, kind, a, b int32
}

// The kinds of MIDI messages used.
const (
	noteOff       = 0x80
	noteOn        = 0x90
	control       = 0xB0
	program       = 0xC0
	controlVolume = 7
	controlPan    = 10
	controlReverb = 91
)

// performWith plays the score with a soundfont.
func (s *Song) performWith(ctx context.Context, font *meltysynth.SoundFont) (stereo, error) {
	settings := meltysynth.NewSynthesizerSettings(rate)
	synth, err := meltysynth.NewSynthesizer(font, settings)
	if err != nil {
		return stereo{}, err
	}
	out, done := newStereo(samples(s.Seconds)), 0
	for i, m := range append(s.setup(), s.messages()...) {
		if i%64 == 0 && ctx.Err() != nil {
			return stereo{}, ctx.Err()
		}
		to := min(m.frame, len(out.left))
		synth.Render(out.left[done:to], out.right[done:to])
		done = to
		synth.ProcessMidiMessage(m.channel, m.kind, m.a, m.b)
	}
	synth.Render(out.left[done:], out.right[done:])
	return out, nil
}

// setup chooses the instruments and their places.
func (s *Song) setup() []message {
	var out []message
	for p := range parts {
		snd, c := s.mood.sounds[p], channel(p)
		out = append(out,
			message{0, c, program, int32(snd.program), 0},
			message{0, c, control, controlVolume, int32(127 * min(1, 0.35+0.8*snd.level))},
			message{0, c, control, controlPan, int32(64 + 63*snd.pan)},
			message{0, c, control, controlReverb, int32(127 * snd.echo)})
	}
	return out
}

// messages are the score's notes in the order of time; a note ends before the same key begins again.
func (s *Song) messages() []message {
	var out []message
	for _, n := range s.score {
		c, key := channel(n.part), int32(n.key)
		out = append(out, message{samples(n.at), c, noteOn, key, int32(n.velocity)},
			message{max(samples(n.end()), samples(n.at)+1), c, noteOff, key, 0})
	}
	slices.SortStableFunc(out, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.frame, b.frame), cmp.Compare(a.kind, b.kind))
	})
	return out
}

// channel is a part's MIDI channel; percussion has one of its own.
func channel(p part) int32 {
	if p == drums {
		return 9
	}
	return int32(p)
}
