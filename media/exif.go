package media

import (
	"bytes"
	"encoding/binary"
)

// orientation returns EXIF tag 0x0112 of a JPEG's first APP1 segment, or 1.
func orientation(data []byte) int {
	for at := 2; at+4 <= len(data) && data[at] == 0xFF; {
		size := int(binary.BigEndian.Uint16(data[at+2:]))
		end := min(at+2+size, len(data))
		if size < 2 || data[at+1] == 0xDA {
			return 1
		}
		if tiff, ok := bytes.CutPrefix(data[min(at+4, end):end], []byte("Exif\x00\x00")); ok && data[at+1] == 0xE1 {
			return tiffOrientation(tiff)
		}
		at = end
	}
	return 1
}

func tiffOrientation(t []byte) int {
	var o binary.ByteOrder = binary.BigEndian
	if bytes.HasPrefix(t, []byte("II")) {
		o = binary.LittleEndian
	}
	if len(t) < 8 {
		return 1
	}
	at := uint64(o.Uint32(t[4:]))
	if at+2 > uint64(len(t)) {
		return 1
	}
	n := uint64(o.Uint16(t[at:]))
	for i := at + 2; n > 0 && i+12 <= uint64(len(t)); i, n = i+12, n-1 {
		if o.Uint16(t[i:]) == 0x0112 {
			return int(o.Uint16(t[i+8:]))
		}
	}
	return 1
}
