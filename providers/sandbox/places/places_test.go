package places_test

import (
	"bytes"
	"image"
	_ "image/jpeg"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/providers/sandbox/places"
)

func TestAll_PlacesAreComplete(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, p := range places.All() {
		ids = append(ids, p.ID)
		for what, text := range map[string]string{"type": p.Type, "name": p.Name, "category": p.Category, "road address": p.RoadAddress, "address": p.Address} {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s has no %s", p.ID, what)
			}
		}
		if !strings.HasPrefix(p.Phone, "0507-") {
			t.Errorf("%s has the phone %q, which is no forwarding number", p.ID, p.Phone)
		}
		if lines := strings.Count(p.Description, "\n") + 1; lines < 4 {
			t.Errorf("%s is described in %d lines", p.ID, lines)
		}
		if len(p.Conveniences) < 5 || len(p.Facilities) < 5 || len(p.Themes) < 3 || len(p.Keywords) != 5 || len(p.Photos) < 8 {
			t.Errorf("%s has lists that are too short", p.ID)
		}
		if p.Longitude < 124 || p.Longitude > 132 || p.Latitude < 33 || p.Latitude > 39 {
			t.Errorf("%s lies outside of Korea", p.ID)
		}
		if p.ReviewCount <= 0 || p.ReviewScore <= 0 || p.ReviewScore > 5 {
			t.Errorf("%s has %d reviews with %v", p.ID, p.ReviewCount, p.ReviewScore)
		}
		if got, ok := places.Find(p.ID); !ok || !cmp.Equal(got, p) {
			t.Errorf("Find(%s) = %v, %v", p.ID, got.Name, ok)
		}
	}
	if want := []string{"1100000001", "1100000002", "1100000003", "1100000004"}; !cmp.Equal(ids, want) {
		t.Error(cmp.Diff(want, ids))
	}
	if p, ok := places.Find("1100000009"); ok {
		t.Errorf("an unknown id found %s", p.Name)
	}
}

// Every file belongs to one place, has the size that the place notes, and its origin is told.
func TestPicture_EveryPhoto(t *testing.T) {
	t.Parallel()
	credits, err := os.ReadFile("PHOTOS.md")
	if err != nil {
		t.Fatal(err)
	}
	total, owner := 0, map[string]string{}
	for _, p := range places.All() {
		for _, photo := range p.Photos {
			if other, taken := owner[photo.Name]; taken {
				t.Errorf("%s is a photo of %s and of %s", photo.Name, other, p.ID)
			}
			owner[photo.Name] = p.ID
			data, ok := places.Picture(photo.Name)
			if !ok {
				t.Errorf("%s isn't there", photo.Name)
				continue
			}
			total += len(data)
			picture, format, err := image.Decode(bytes.NewReader(data))
			if err != nil || format != "jpeg" {
				t.Errorf("%s is %q: %v", photo.Name, format, err)
				continue
			}
			if got, want := picture.Bounds().Size(), image.Pt(photo.Width, photo.Height); got != want {
				t.Errorf("%s has %v pixels, noted are %v", photo.Name, got, want)
			}
			if name := strings.TrimSuffix(photo.Name, ".jpg"); !strings.Contains(string(credits), " "+name+" ") && !strings.Contains(string(credits), " "+name+",") {
				t.Errorf("PHOTOS.md doesn't tell of %s", photo.Name)
			}
		}
	}
	if total > 6<<20 {
		t.Errorf("the photos have %d bytes, at most 6 MiB are wanted", total)
	}
	kept, err := fs.Glob(os.DirFS("photos"), "*")
	if err != nil || len(kept) != len(owner) {
		t.Errorf("%d files for %d listed photos: %v", len(kept), len(owner), err)
	}
}

func TestPicture_OnlyPhotos(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "none.jpg", "../places.json", "photos/sea-deck.jpg", "../photos/sea-deck.jpg", `..\places.json`} {
		if _, ok := places.Picture(name); ok {
			t.Errorf("%q is a picture", name)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]string{
		"숲속하루펜션":          {"1100000001"},
		"<b>숲속</b> 하루 펜션": {"1100000001"},
		"가평":              {"1100000001"},
		"강원특별자치도 속초시 파도소리펜션": {"1100000002"},
		"속초 바다 펜션":           {"1100000002"},
		"펜션":                 {"1100000001", "1100000002"},
		"한옥":                 {"1100000003"},
		"군산 달빛":              {"1100000003"},
		"남원읍 귤꽃로 8":          {"1100000004"},
		"위미리":                {"1100000004"},
		"속초 한옥":              nil,
		"부산":                 nil,
		" ":                  nil,
		"":                   nil,
		"<b></b>":            nil,
	} {
		var got []string
		for _, p := range places.Search(query) {
			got = append(got, p.ID)
		}
		if !cmp.Equal(got, want) {
			t.Errorf("Search(%q): %s", query, cmp.Diff(want, got))
		}
	}
}
