package main

import (
	"bytes"
	"image"
	"testing"

	"castad/providers/sandbox/places"
)

// Each photo has the size that its place tells, in both tempos; the quick one's are small.
func TestAtlas_PhotosHaveTheToldSize(t *testing.T) {
	t.Parallel()
	for _, quick := range []bool{false, true} {
		a := newAtlas(quick)
		for _, known := range places.All() {
			place, ok := a.Find(known.ID)
			if !ok || len(place.Photos) != len(known.Photos) {
				t.Fatalf("Find(%s) = %+v, %v", known.ID, place, ok)
			}
			for _, photo := range place.Photos {
				data, ok := a.Photo(photo.Name)
				if !ok {
					t.Fatalf("%s isn't there", photo.Name)
				}
				picture, _, err := image.DecodeConfig(bytes.NewReader(data))
				if err != nil {
					t.Fatalf("%s: %v", photo.Name, err)
				}
				if picture.Width != photo.Width || picture.Height != photo.Height {
					t.Errorf("%s is %dx%d, told are %dx%d", photo.Name, picture.Width, picture.Height, photo.Width, photo.Height)
				}
				if small := max(picture.Width, picture.Height) <= smallSide; small != quick {
					t.Errorf("%s is %dx%d where quick is %v", photo.Name, picture.Width, picture.Height, quick)
				}
			}
		}
	}
}

func TestAtlas_UnknownIsNotFound(t *testing.T) {
	t.Parallel()
	for _, quick := range []bool{false, true} {
		a := newAtlas(quick)
		if _, ok := a.Find("9"); ok {
			t.Error("an unknown place is found")
		}
		if _, ok := a.Photo("../places.json"); ok {
			t.Error("a file that is no photo is served")
		}
		if found := a.Search("부산"); len(found) > 0 {
			t.Errorf("부산 found %+v", found)
		}
	}
}
