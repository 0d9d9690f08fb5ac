package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/image/draw"

	"castad/internal/fault"
)

// album is every photo of the sandbox's places: real ones, several of the same subject.
func album(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../providers/sandbox/places/photos/*.jpg")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d photos, %v", len(paths), err)
	}
	photos := map[string][]byte{}
	for _, path := range paths {
		if photos[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return photos
}

// A photo's print stays the same when it is made smaller, worse and brighter, and is no other photo's.
func TestPrint_TellsPhotosApart(t *testing.T) {
	t.Parallel()
	prints := map[string]Print{}
	for name, data := range album(t) {
		clean, err := CleanPhoto(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(clean.Data, data) {
			t.Errorf("%s is a good JPEG, and was made again", name)
		}
		img, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		worse := image.NewRGBA(image.Rect(0, 0, 640*img.Bounds().Dx()/img.Bounds().Dy(), 640))
		draw.BiLinear.Scale(worse, worse.Rect, img, img.Bounds(), draw.Src, nil)
		draw.Draw(worse, worse.Rect, image.NewUniform(color.RGBA{20, 20, 20, 20}), image.Point{}, draw.Over)
		var out bytes.Buffer
		if err := jpeg.Encode(&out, worse, &jpeg.Options{Quality: 40}); err != nil {
			t.Fatal(err)
		}
		copied, err := CleanPhoto(out.Bytes())
		if err != nil || !clean.Print.Same(copied.Print) {
			t.Errorf("%s isn't known again: %x and %x, %v", name, clean.Print, copied.Print, err)
		}
		for other, print := range prints {
			if clean.Print.Same(print) {
				t.Errorf("%s is taken for %s", name, other)
			}
		}
		prints[name] = clean.Print
	}
}

// Flat pictures have nothing to be known by.
func TestPrint_FlatPicturesAreNobodysCopies(t *testing.T) {
	t.Parallel()
	white := printOf(image.NewGray(image.Rect(0, 0, 100, 100)))
	if white.Same(white) {
		t.Error("a flat picture is taken for another one")
	}
}

// Each of the eight orientations comes out upright.
func TestCleanPhoto_EachOrientation(t *testing.T) {
	t.Parallel()
	img := image.NewRGBA(image.Rect(0, 0, 160, 80)) // red on top left, green on top right, blue at the bottom left
	for y := range 80 {
		for x := range 160 {
			c := color.RGBA{A: 255}
			switch {
			case x < 80 && y < 40:
				c.R = 255
			case y < 40:
				c.G = 255
			case x < 80:
				c.B = 255
			}
			img.SetRGBA(x, y, c)
		}
	}
	for how := 1; how <= 8; how++ {
		// Stored as a camera would: turned the other way round.
		back := map[int]int{6: 8, 8: 6}[how]
		if back == 0 {
			back = how
		}
		var out bytes.Buffer
		if err := jpeg.Encode(&out, upright(img, back), &jpeg.Options{Quality: 95}); err != nil {
			t.Fatal(err)
		}
		exif := "\xff\xd8\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(how)) + "\x00\x00\x00\x00\x00\x00"
		clean, err := CleanPhoto(append([]byte(exif), out.Bytes()[2:]...))
		if err != nil || clean.Width != 160 || clean.Height != 80 {
			t.Fatalf("orientation %d: %dx%d, %v", how, clean.Width, clean.Height, err)
		}
		got, err := jpeg.Decode(bytes.NewReader(clean.Data))
		if err != nil {
			t.Fatal(err)
		}
		r, _, _, _ := got.At(40, 20).RGBA()
		_, g, _, _ := got.At(120, 20).RGBA()
		_, _, b, _ := got.At(40, 60).RGBA()
		if r < 0xd000 || g < 0xd000 || b < 0xd000 {
			t.Errorf("orientation %d: red %x, green %x, blue %x", how, r, g, b)
		}
		if how > 1 && orientation(clean.Data) != 1 {
			t.Errorf("orientation %d is still written on it", how)
		}
	}
}

// No prefix of a photo passes for the whole, and none brings the program down.
func TestCleanPhoto_CutOffAnywhere(t *testing.T) {
	t.Parallel()
	var asJPEG, asPNG bytes.Buffer
	img := image.NewGray(image.Rect(0, 0, 96, 96))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 7)
	}
	if err := jpeg.Encode(&asJPEG, img, nil); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&asPNG, img); err != nil {
		t.Fatal(err)
	}
	for _, whole := range [][]byte{asJPEG.Bytes(), asPNG.Bytes()} {
		for n := range len(whole) - 20 { // the last bytes only say that it ends
			if _, err := MeasurePhoto(whole[:n]); err != nil {
				continue
			}
			if _, err := CleanPhoto(whole[:n]); fault.Of(err).Code != "photo_unreadable" {
				t.Fatalf("%d bytes of %d: %v", n, len(whole), err)
			}
		}
	}
}

// An extended WebP's frame may be of any size, whatever its canvas says.
func TestMeasurePhoto_FrameLargerThanItsCanvas(t *testing.T) {
	t.Parallel()
	const side = 16_384
	bits := uint32(side-1) | uint32(side-1)<<14
	frame := append([]byte("VP8L\x0a\x00\x00\x00\x2f"), byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24), 0, 0, 0, 0, 0)
	canvas := []byte("VP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x63\x00\x00\x63\x00\x00") // 100x100
	body := append(append([]byte("WEBP"), canvas...), frame...)
	data := append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
	if c, _, err := image.DecodeConfig(bytes.NewReader(data)); err != nil || c.Width != 100 {
		t.Fatalf("the canvas is %dx%d, %v", c.Width, c.Height, err)
	}
	if size, err := MeasurePhoto(data); fault.Of(err) == nil || fault.Of(err).Code != "photo_too_large" {
		t.Errorf("measured %+v, %v", size, err)
	}
}

// A file of a few kilobytes can hold a thousand walks over a picture.
func TestMeasurePhoto_TooManyScans(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, 100, 100)), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := MeasurePhoto(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	for range mostScans {
		out.Write(startOfScan)
	}
	if _, err := MeasurePhoto(out.Bytes()); fault.Of(err) == nil || fault.Of(err).Code != "photo_unreadable" {
		t.Errorf("measured: %v", err)
	}
}
