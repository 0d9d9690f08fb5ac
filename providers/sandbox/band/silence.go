package band

import (
	"bytes"
	"fmt"
	"io"
)

// A quick song is MPEG-1 layer III at 32 kbit/s, 48 kHz, mono: each frame holds 1152 samples,
// 24 ms, in 144*32000/48000 = 96 bytes.
const (
	frameSeconds = 1152.0 / rate
	frameBytes   = 144 * 32000 / rate
	quickFrames  = 84
	quickSeconds = quickFrames * frameSeconds // 2.016
)

// frameHeader is the four bytes before each frame (ISO/IEC 11172-3, 2.4.1.3): sync, MPEG-1,
// layer III, no checksum; 32 kbit/s, 48 kHz, no padding; mono, original.
var frameHeader = []byte{0xFF, 0xFB, 0x14, 0xC4}

// writeSilence writes the quick song: after the tag, frames whose side information is all
// zero, which means no bits for either granule, and so silence.
func (s *Song) writeSilence(w io.Writer) error {
	var out bytes.Buffer
	out.Write(titleTag(oneLine(s.title)))
	frame := make([]byte, frameBytes)
	copy(frame, frameHeader)
	for range quickFrames {
		out.Write(frame)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write song: %w", err)
	}
	return nil
}

// titleTag is an ID3v2.4 tag with the title in UTF-8, empty without a title (id3.org, version 2.4.0).
func titleTag(title string) []byte {
	if title == "" {
		return nil
	}
	text := append([]byte{3}, title...) // 3 is UTF-8
	frame := append([]byte("TIT2"), synchsafe(len(text))...)
	frame = append(append(frame, 0, 0), text...)
	tag := append([]byte("ID3\x04\x00\x00"), synchsafe(len(frame))...)
	return append(tag, frame...)
}

// synchsafe writes a size in seven bits a byte, so that it can't look like a frame's start.
func synchsafe(n int) []byte {
	return []byte{byte(n >> 21 & 0x7f), byte(n >> 14 & 0x7f), byte(n >> 7 & 0x7f), byte(n & 0x7f)}
}
