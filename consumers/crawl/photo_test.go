package main

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/draw"

	"castad/store"
)

// scene is a picture with something to see: red and bright on the left, blue and dark on the right, with stripes of its own.
func scene(width, height, stripes int) image.Image {
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			shade := uint8(255 - 200*x/width)
			if x*stripes/width%2 == 1 || y*stripes/height%3 == 1 {
				shade /= 3
			}
			out.Set(x, y, color.RGBA{shade, shade / 4, uint8(200 * x / width), 255})
		}
	}
	return out
}

func jpegOf(t *testing.T, img image.Image, quality int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// snapshot is a photo as cameras take them.
func snapshot(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("../../providers/sandbox/places/photos/forest-stream.jpg")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// worse is the same picture at half its size.
func worse(t *testing.T, data []byte) []byte {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	half := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx()/2, img.Bounds().Dy()/2))
	draw.BiLinear.Scale(half, half.Rect, img, img.Bounds(), draw.Src, nil)
	return jpegOf(t, half, 60)
}

// rotated gives a JPEG an EXIF orientation.
func rotated(data []byte, how uint16) []byte {
	tiff := append([]byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"), byte(how>>8), byte(how), 0, 0, 0, 0, 0, 0)
	body := append([]byte("Exif\x00\x00"), tiff...)
	head := binary.BigEndian.AppendUint16([]byte{0xFF, 0xD8, 0xFF, 0xE1}, uint16(len(body)+2))
	return append(append(head, body...), data[2:]...)
}

// moving is a GIF of two frames, the second one white.
func moving(t *testing.T, first image.Image) []byte {
	t.Helper()
	palette := color.Palette{color.White, color.Black, color.RGBA{255, 60, 0, 255}, color.RGBA{80, 20, 150, 255}, color.RGBA{160, 40, 80, 255}}
	frames := &gif.GIF{}
	for _, from := range []image.Image{first, image.White} {
		frame := image.NewPaletted(first.Bounds(), palette)
		for y := range frame.Rect.Dy() {
			for x := range frame.Rect.Dx() {
				frame.Set(x, y, from.At(x, y))
			}
		}
		frames.Image, frames.Delay = append(frames.Image, frame), append(frames.Delay, 10)
	}
	var out bytes.Buffer
	if err := gif.EncodeAll(&out, frames); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// inks is a baseline JPEG of four inks, as printers' programs save them with Adobe's marker: all one colour, given as the
// four stored values (0 is full ink). Each block is its mean and nothing else: the means of the first four blocks have
// seven bits, all later ones don't differ from them.
func inks(width, height int, stored [4]int) []byte {
	out := []byte{0xFF, 0xD8, 0xFF, 0xEE, 0, 14}
	out = append(out, "Adobe\x00\x64\x00\x00\x00\x00\x00"...)
	out = append(out, 0xFF, 0xDB, 0, 67, 0)
	out = append(out, bytes.Repeat([]byte{8}, 64)...)
	out = append(out, 0xFF, 0xC0, 0, 20, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 4)
	for id := range 4 {
		out = append(out, byte(id+1), 0x11, 0)
	}
	table := func(class byte, counts [16]byte, values ...byte) {
		out = append(append(append(out, 0xFF, 0xC4, 0, byte(19+len(values)), class), counts[:]...), values...)
	}
	table(0x00, [16]byte{0, 2}, 0, 7) // of means: 00 for the same one, 01 and seven bits for another
	table(0x10, [16]byte{1}, 0)       // of all else: 0 ends the block
	out = append(out, 0xFF, 0xDA, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0)
	var bits strings.Builder
	for block := range (width + 7) / 8 * ((height + 7) / 8) {
		for _, v := range stored {
			if block > 0 {
				bits.WriteString("000")
				continue
			}
			mean := v - 128 // 64 to 127 away from the middle
			if mean < 0 {
				mean += 127
			}
			bits.WriteString("01")
			for at := 6; at >= 0; at-- {
				bits.WriteByte('0' + byte(mean>>at&1))
			}
			bits.WriteString("0")
		}
	}
	for bits.Len()%8 != 0 {
		bits.WriteByte('1')
	}
	text := bits.String()
	for i := 0; i < len(text); i += 8 {
		var b byte
		for _, bit := range text[i : i+8] {
			b = b<<1 | byte(bit-'0')
		}
		if out = append(out, b); b == 0xFF {
			out = append(out, 0)
		}
	}
	return append(out, 0xFF, 0xD9)
}

// kept is a photo as everybody can read it in the blob store.
func kept(t *testing.T, photo store.Image) image.Image {
	t.Helper()
	resp, err := http.Get(photo.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.Header.Get("Content-Type") != photo.ContentType || int64(len(data)) != photo.SizeBytes {
		t.Errorf("%s has %d bytes of %s, %v; the row says %+v", photo.URL, len(data), resp.Header.Get("Content-Type"), err, photo)
	}
	img, format, err := image.Decode(bytes.NewReader(data))
	if err != nil || "image/"+format != photo.ContentType || img.Bounds().Size() != (image.Point{X: photo.Width, Y: photo.Height}) {
		t.Fatalf("%s is a %s of %v, %v; the row says %+v", photo.URL, format, img.Bounds().Size(), err, photo)
	}
	return img
}

// near checks a colour, of which JPEG keeps a little less than all.
func near(t *testing.T, what string, img image.Image, x, y int, want color.RGBA) {
	t.Helper()
	got := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
	for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B)} {
		if d < -40 || d > 40 {
			t.Errorf("%s has %v at %d,%d, wanted about %v", what, got, x, y, want)
			return
		}
	}
}

// Of an owner's mixed bag the good pictures are used, made so that every renderer shows them, and each bad one is named.
func TestAlbum_MixedBag(t *testing.T) {
	t.Parallel()
	known := village()
	upright, plain := scene(120, 80, 3), snapshot(t)
	known.pictures["rotated.jpg"] = rotated(jpegOf(t, upright, 95), 6)
	known.pictures["cmyk.jpg"] = inks(96, 72, [4]int{250, 20, 30, 250})
	known.pictures["moving.gif"] = moving(t, scene(100, 100, 2))
	known.pictures["plain.jpg"] = plain
	known.pictures["huge.jpg"] = jpegOf(t, scene(5000, 2500, 7), 60)
	known.pictures["again.jpg"] = worse(t, plain)
	known.pictures["truncated.jpg"] = plain[:len(plain)*2/3]
	known.pictures["dot.png"] = picture(1, 1, 0)
	known.pictures["panorama.jpg"] = jpegOf(t, scene(1600, 200, 4), 90)
	known.pictures["text.jpg"] = []byte("펜션 소개 글입니다. 사진이 아닙니다.\n")
	r := open(t, known)
	r.Photos.Most = 9
	r.Fresh = time.Hour
	good := []string{"rotated.jpg", "cmyk.jpg", "moving.gif", "plain.jpg", "huge.jpg"}
	bad := []string{"again.jpg photo_repeated", "truncated.jpg photo_unreadable", "dot.png photo_too_small", "panorama.jpg photo_too_narrow", "text.jpg not_an_image"}
	var urls []string
	for i := range good {
		name, _, _ := strings.Cut(bad[i], " ")
		urls = append(urls, r.photo(good[i]), r.photo(name))
	}
	urls[1], urls[7] = urls[7], urls[1] // again.jpg comes after what it repeats
	c := r.submit(t, owner, byHand(urls...))
	r.finish(t, c)
	images := map[string]image.Image{}
	for _, photo := range r.images(t, c.TaskID) {
		images[strings.TrimPrefix(photo.SourceURL, r.photo(""))] = kept(t, photo)
	}
	if len(images) != len(good) {
		t.Errorf("kept %d photos", len(images))
	}
	if img := images["rotated.jpg"]; img != nil { // what was left is on top now
		near(t, "rotated.jpg", img, 69, 5, color.RGBA{245, 60, 8, 255})
		if img.Bounds().Dx() != 80 {
			t.Errorf("rotated.jpg is %v", img.Bounds())
		}
	}
	near(t, "cmyk.jpg", images["cmyk.jpg"], 48, 36, color.RGBA{245, 20, 30, 255})
	if _, ok := images["cmyk.jpg"].(*image.YCbCr); !ok {
		t.Errorf("cmyk.jpg is %T", images["cmyk.jpg"])
	}
	near(t, "moving.gif", images["moving.gif"], 5, 5, color.RGBA{255, 60, 0, 255})
	if size := images["huge.jpg"].Bounds().Size(); size != (image.Point{X: 4096, Y: 2048}) {
		t.Errorf("huge.jpg is %v", size)
	}
	var left []string
	for _, l := range r.project(t, c.TaskID).LeftOut.V {
		code, words, _ := strings.Cut(l.Reason, ": ")
		left = append(left, strings.TrimPrefix(l.URL, r.photo(""))+" "+code)
		if len(words) < 10 {
			t.Errorf("%s is left out without a word: %q", l.URL, l.Reason)
		}
	}
	want := []string{bad[3], bad[1], bad[2], bad[0], bad[4]}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

// What was left out is told also by a task that uses another's crawl, and forgotten with a crawl that leaves nothing out.
func TestAlbum_WhatWasLeftOutIsKept(t *testing.T) {
	t.Parallel()
	known := village()
	known.pictures["stream.png"] = picture(10, 10, 0)
	r := open(t, known)
	r.Fresh = time.Hour
	for range 2 {
		c := r.submit(t, owner, store.Source{URL: forest})
		r.finish(t, c)
		left := r.project(t, c.TaskID).LeftOut.V
		if len(left) != 1 || left[0].URL != r.photo("stream.png") || !strings.HasPrefix(left[0].Reason, "photo_too_small: ") {
			t.Errorf("left out: %+v", left)
		}
	}
}

// Pictures wait for memory, and however many there are, all of them get it.
func TestAlbum_DecodesWithinItsMemory(t *testing.T) {
	t.Parallel()
	known := village()
	r := open(t, known)
	var urls []string
	for _, name := range []string{"a.jpg", "b.jpg", "c.jpg", "d.jpg"} {
		known.pictures[name] = jpegOf(t, scene(3000, 2000, 3+len(urls)*2), 50)
		urls = append(urls, r.photo(name))
	}
	if !r.Photos.memory.TryAcquire(decoding - 80<<20) { // room for one of them
		t.Fatal("somebody decodes")
	}
	if found := r.work(t, r.submit(t, owner, byHand(urls...))); len(found.Images) != 4 {
		t.Errorf("%d photos, left out %+v", len(found.Images), found.Project.LeftOut.V)
	}
	if !r.Photos.memory.TryAcquire(80 << 20) {
		t.Error("memory wasn't given back")
	}
}
