// Package places holds what the sandbox shows of the world: four invented lodgings with free
// photographs, and the texts that stand for a language model's answers.
//
// All of it is built into the program. Start at Find and Search for places, Picture for
// their photographs (PHOTOS.md says whose they are) and Answer for the texts.
package places

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode"
)

//go:embed places.json photos/*.jpg
var files embed.FS

// Place is an invented business. Description has line breaks, Address is the lot number
// address, and Longitude and Latitude are WGS84 degrees.
type Place struct {
	ID           string   `json:"id"`   // decimal digits, as Naver's
	Type         string   `json:"type"` // of the place page: "accommodation"
	Name         string   `json:"name"`
	Category     string   `json:"category"`
	RoadAddress  string   `json:"road_address"`
	Address      string   `json:"address"`
	Phone        string   `json:"phone"` // a forwarding number
	Description  string   `json:"description"`
	Conveniences []string `json:"conveniences"`
	Facilities   []string `json:"facilities"`
	Themes       []string `json:"themes"`
	Keywords     []string `json:"keywords"`
	Longitude    float64  `json:"longitude"`
	Latitude     float64  `json:"latitude"`
	ReviewCount  int      `json:"review_count"`
	ReviewScore  float64  `json:"review_score"` // 0 to 5
	Photos       []Photo  `json:"photos"`       // in the order of the place page
}

// Photo names a JPEG that Picture returns. Width and Height are pixels.
type Photo struct {
	Name   string `json:"name"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// load reads the built-in list once. A mistake in it is ours, and found by every test.
var load = sync.OnceValue(func() []Place {
	raw, err := files.ReadFile("places.json")
	if err != nil {
		panic(err)
	}
	var list []Place
	if err := json.Unmarshal(raw, &list); err != nil {
		panic(fmt.Errorf("places.json: %w", err))
	}
	return list
})

// All returns the places in the order of their ids.
func All() []Place { return slices.Clone(load()) }

// Find returns the place of an id.
func Find(id string) (Place, bool) {
	return first(func(p Place) bool { return p.ID == id })
}

// named returns the place that is called name, however it is spaced.
func named(name string) (Place, bool) {
	return first(func(p Place) bool { return folded(p.Name) == folded(name) })
}

func first(match func(Place) bool) (Place, bool) {
	list := load()
	if i := slices.IndexFunc(list, match); i >= 0 {
		return list[i], true
	}
	return Place{}, false
}

// Search returns the places that a person means by query: a part of the name, or words
// that all stand in the name, the category or an address ("속초 펜션"). Spaces and <b> don't matter.
func Search(query string) []Place {
	query = strings.NewReplacer("<b>", "", "</b>", "").Replace(query)
	if folded(query) == "" {
		return nil
	}
	var found []Place
	for _, p := range load() {
		if p.matches(query) {
			found = append(found, p)
		}
	}
	return found
}

func (p Place) matches(query string) bool {
	text := folded(p.Name + p.Category + "\n" + p.RoadAddress + "\n" + p.Address)
	for _, k := range p.Keywords {
		text += "\n" + folded(k)
	}
	if strings.Contains(text, folded(query)) {
		return true
	}
	for _, word := range strings.Fields(query) {
		if !strings.Contains(text, folded(word)) {
			return false
		}
	}
	return true
}

// folded drops spaces and case.
func folded(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) && r != '\n' {
			return -1
		}
		return r
	}, s))
}

// Picture returns the JPEG of a name that a place lists.
func Picture(name string) (data []byte, ok bool) {
	if path.Base(name) != name || path.Ext(name) != ".jpg" {
		return nil, false
	}
	data, err := files.ReadFile("photos/" + name)
	return data, err == nil
}
