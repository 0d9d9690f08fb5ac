package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/bits"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"

	"castad/internal/fault"
)

const (
	leastSide    = 64         // pixels; smaller ones are icons
	mostPixels   = 50_000_000 // what good telephones make; beyond it a picture is a bomb
	mostSkew     = 5          // of the longer to the shorter side: less than a fifth of it would ever be seen
	longestSide  = 4096       // pixels of what is kept
	cleanQuality = 92
	// decodedBytes is the most that a decoder holds for a pixel: a progressive JPEG keeps three coefficients of four bytes.
	decodedBytes = 12
)

// Size is what a picture says of itself, before anything of it is decoded.
type Size struct{ Width, Height int }

// MeasurePhoto reads a picture's head and refuses what can't be a photo of a video. Errors, all Permanent:
// "photo_unreadable", "photo_too_small", "photo_too_large", "photo_too_narrow".
func MeasurePhoto(data []byte) (Size, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if inner, held := innerWebP(data); held && err == nil { // a frame can be larger than the canvas that it is said to be on
		c, err = webp.DecodeConfig(bytes.NewReader(inner))
	}
	if err == nil && bytes.Count(data, startOfScan) > mostScans {
		err = errors.New("it has too many scans")
	}
	size := Size{c.Width, c.Height}
	switch {
	case err != nil:
		return size, fault.Stop("photo_unreadable", fmt.Errorf("not a JPEG, PNG, WebP or GIF: %w", err))
	case size.Width < leastSide || size.Height < leastSide:
		return size, fault.Stop("photo_too_small", fmt.Errorf("%dx%d pixels; the shorter side needs %d", size.Width, size.Height, leastSide))
	case size.Width > mostPixels/size.Height:
		return size, fault.Stop("photo_too_large", fmt.Errorf("%dx%d pixels; %d millions are the most", size.Width, size.Height, mostPixels/1_000_000))
	case max(size.Width, size.Height) > mostSkew*min(size.Width, size.Height):
		return size, fault.Stop("photo_too_narrow", fmt.Errorf("%dx%d pixels; one side is more than %d times the other", size.Width, size.Height, mostSkew))
	}
	return size, nil
}

// A progressive JPEG has about ten scans, and its thumbnail some more; each takes a walk over the whole picture, however
// small it is in the file.
const mostScans = 100

var startOfScan = []byte{0xFF, 0xDA}

// innerWebP returns the frame of an extended WebP as a file of its own, with the frame's own size in its head.
func innerWebP(data []byte) (file []byte, held bool) {
	const head = 12 // RIFF, length, WEBP
	if len(data) < head+8 || string(data[:4]) != "RIFF" || string(data[head:head+4]) != "VP8X" {
		return nil, false
	}
	for at := head; at+8 <= len(data); {
		size := int(binary.LittleEndian.Uint32(data[at+4:]))
		if kind := string(data[at : at+4]); kind == "VP8 " || kind == "VP8L" {
			chunk := data[at:min(at+8+size, len(data))]
			file = binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+len(chunk)))
			return append(append(file, "WEBP"...), chunk...), true
		}
		at += 8 + size + size&1
	}
	return nil, false
}

// Memory is the most that CleanPhoto holds for a picture of this size, in bytes.
func (s Size) Memory() int64 { return int64(s.Width) * int64(s.Height) * decodedBytes }

// Clean is a photo that every renderer can show: a whole JPEG or PNG, upright, no larger than it has to be.
type Clean struct {
	Data          []byte
	Format        string // "jpeg" or "png", by content
	Width, Height int
	Print         Print
}

// CleanPhoto decodes all of a measured picture. What is a good JPEG or PNG already comes back byte by byte; an EXIF
// orientation, CMYK, the first frame of a GIF, WebP, or too many pixels become a new JPEG. Errors: Permanent
// "photo_unreadable" for one that breaks off or is damaged.
func CleanPhoto(data []byte) (Clean, error) {
	img, format, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return Clean{}, fault.Stop("photo_unreadable", fmt.Errorf("damaged, or not all of it is there: %w", err))
	}
	size := img.Bounds().Size()
	how := orientation(data)
	_, cmyk := img.(*image.CMYK)
	fine := (format == "jpeg" || format == "png") && !cmyk && (how < 2 || how > 8) && max(size.X, size.Y) <= longestSide
	if fine {
		return Clean{Data: data, Format: format, Width: size.X, Height: size.Y, Print: printOf(img)}, nil
	}
	return encoded(upright(smaller(img), how))
}

// smaller scales a picture to the longest side that is kept.
func smaller(img image.Image) image.Image {
	b := img.Bounds()
	most := max(b.Dx(), b.Dy())
	if most <= longestSide {
		return img
	}
	out := image.NewRGBA(image.Rect(0, 0, max(b.Dx()*longestSide/most, 1), max(b.Dy()*longestSide/most, 1)))
	draw.ApproxBiLinear.Scale(out, out.Rect, img, b, draw.Src, nil)
	return out
}

// encoded makes a JPEG; what can be seen through stands on white.
func encoded(img image.Image) (Clean, error) {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(out, out.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(out, out.Rect, img, b.Min, draw.Over)
	var data bytes.Buffer
	if err := jpeg.Encode(&data, out, &jpeg.Options{Quality: cleanQuality}); err != nil {
		return Clean{}, fault.Stop("photo_unreadable", fmt.Errorf("can't be made a JPEG: %w", err))
	}
	return Clean{Data: data.Bytes(), Format: "jpeg", Width: b.Dx(), Height: b.Dy(), Print: printOf(out)}, nil
}

// Print is a perceptual hash: a bit for each of 16 by 16 places tells whether it is brighter than its right neighbour, so
// it stays much the same when a picture is scaled, recoded or brightened.
type Print [4]uint64

const (
	printSide     = 16
	mostDifferent = 28 // bits of 256: copies of the sandbox's photos differ in 24 at most, different ones in 47 at least
	leastTelling  = 32 // bits; a flat picture's print says nothing
)

// Same reports whether two prints are surely of the same picture.
func (p Print) Same(other Print) bool {
	set, differ := 0, 0
	for i := range p {
		set += bits.OnesCount64(p[i])
		differ += bits.OnesCount64(p[i] ^ other[i])
	}
	return set >= leastTelling && set <= printSide*printSide-leastTelling && differ <= mostDifferent
}

func printOf(img image.Image) Print {
	sample := image.NewRGBA(image.Rect(0, 0, 16*(printSide+1), 16*printSide)) // quick, and enough for the means of the places
	draw.ApproxBiLinear.Scale(sample, sample.Rect, img, img.Bounds(), draw.Src, nil)
	tiny := image.NewGray(image.Rect(0, 0, printSide+1, printSide))
	draw.BiLinear.Scale(tiny, tiny.Rect, sample, sample.Rect, draw.Src, nil)
	var p Print
	for y := range printSide {
		for x := range printSide {
			if tiny.GrayAt(x, y).Y > tiny.GrayAt(x+1, y).Y {
				p[y/4] |= 1 << (y%4*printSide + x)
			}
		}
	}
	return p
}
