package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
	"sync"

	"golang.org/x/image/draw"

	"castad/providers/sandbox"
	"castad/providers/sandbox/places"
)

// smallSide is the longer side, in pixels, of the photos that a quick sandbox serves.
const smallSide = 160

// atlas shows the invented places to the sandbox.
type atlas struct {
	quick bool // serves small photos: there pictures have to be right, not good

	mu    sync.Mutex
	small map[string][]byte // by name, as they were asked for
}

func newAtlas(quick bool) *atlas { return &atlas{quick: quick, small: map[string][]byte{}} }

// Photo returns a picture, scaled down when the tempo is quick. The first call for a name does the work.
func (a *atlas) Photo(name string) ([]byte, bool) {
	data, ok := places.Picture(name)
	if !ok || !a.quick {
		return data, ok
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if small, ok := a.small[name]; ok {
		return small, true
	}
	small, err := shrink(data)
	if err != nil {
		return nil, false // a built-in photo that can't be read: the tests of places find it
	}
	a.small[name] = small
	return small, true
}

func shrink(data []byte) ([]byte, error) {
	large, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read photo: %w", err)
	}
	width, height := smallSize(large.Bounds().Dx(), large.Bounds().Dy())
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.ApproxBiLinear.Scale(small, small.Bounds(), large, large.Bounds(), draw.Src, nil)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, small, nil); err != nil {
		return nil, fmt.Errorf("write photo: %w", err)
	}
	return out.Bytes(), nil
}

func smallSize(width, height int) (int, int) {
	if longer := max(width, height); longer > smallSide {
		return max(1, width*smallSide/longer), max(1, height*smallSide/longer)
	}
	return width, height
}

func (a *atlas) Find(id string) (sandbox.Place, bool) {
	p, ok := places.Find(id)
	if !ok {
		return sandbox.Place{}, false
	}
	return a.shown(p), true
}

func (a *atlas) Search(query string) []sandbox.Place {
	var found []sandbox.Place
	for _, p := range places.Search(query) {
		found = append(found, a.shown(p))
	}
	return found
}

func (a *atlas) Answer(schemaName string, facts json.RawMessage) (json.RawMessage, error) {
	return places.Answer(schemaName, facts)
}

// shown is a place in the sandbox's words, with photos of the size that is served.
func (a *atlas) shown(p places.Place) sandbox.Place {
	photos := make([]sandbox.Photo, len(p.Photos))
	for i, photo := range p.Photos {
		photos[i] = sandbox.Photo(photo)
		if a.quick {
			photos[i].Width, photos[i].Height = smallSize(photo.Width, photo.Height)
		}
	}
	return sandbox.Place{
		ID: p.ID, Type: p.Type, Name: p.Name, Category: p.Category, Address: p.Address, RoadAddress: p.RoadAddress, Phone: p.Phone,
		Description: p.Description, Facilities: facilities(p), Keywords: p.Keywords, Themes: p.Themes, Photos: photos,
		Longitude: p.Longitude, Latitude: p.Latitude, Reviews: p.ReviewCount, Score: p.ReviewScore,
	}
}

// facilities are what sets a place apart, and then what most have.
func facilities(p places.Place) []string {
	list := slices.Clone(p.Facilities)
	for _, c := range p.Conveniences {
		if !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}
