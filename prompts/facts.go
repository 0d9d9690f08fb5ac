package prompts

import (
	"strings"

	"castad/providers"
)

// Facts is what is known of a business. Its texts may come from a crawled page.
type Facts struct {
	Name        string             `json:"name"`
	Region      string             `json:"region"`
	Detail      string             `json:"detail_region_info"`
	Category    string             `json:"category"`
	Facilities  []string           `json:"facilities"`
	Keywords    []string           `json:"keywords"` // of the place page
	Description string             `json:"description"`
	Language    providers.Language `json:"language"` // of the answer
}

// Music is how the song shall sound, in the customer's words; each may be "".
type Music struct {
	Genre string `json:"genre"`
	Vocal string `json:"vocal"`
	Tempo string `json:"tempo"`
	Mood  string `json:"mood"`
}

// LyricFacts is what lyrics are written from.
type LyricFacts struct {
	Facts
	Report Report `json:"report"`
	Music  Music  `json:"music"`
}

// SEOFacts is what a video's title and description are written from.
type SEOFacts struct {
	Facts
	Report Report `json:"report"`
}

// PlaceFacts takes the facts of a place.
func PlaceFacts(p providers.Place, language providers.Language) Facts {
	return Facts{
		Name: p.Name, Region: p.Region, Detail: p.Detail, Category: p.Category, Facilities: p.Facilities,
		Keywords: p.Keywords, Description: p.Description, Language: language,
	}
}

// Marketing asks for a Report. An error means a mistake of ours (an unknown language).
func (l *Library) Marketing(f Facts) (providers.Prompt, error) {
	return l.set.Load().marketing.prompt(f.Language, "Write the marketing report for the business in this JSON object.", f.cut())
}

// Lyric asks for a Lyric.
func (l *Library) Lyric(f LyricFacts) (providers.Prompt, error) {
	f.Facts, f.Report, f.Music = f.cut(), f.Report.cut(), f.Music.cut()
	return l.set.Load().lyric.prompt(f.Language, "Write the song for the business in this JSON object.", f)
}

// YouTube asks for an SEO.
func (l *Library) YouTube(f SEOFacts) (providers.Prompt, error) {
	f.Facts, f.Report = f.cut(), f.Report.cut()
	return l.set.Load().youtube.prompt(f.Language, "Write the video's title and description for the business in this JSON object.", f)
}

// cut bounds every text that goes into a prompt.
func (f Facts) cut() Facts {
	f.Name, f.Region, f.Detail = cut(f.Name, 120), cut(f.Region, 80), cut(f.Detail, 200)
	f.Category, f.Description = cut(f.Category, 80), cut(f.Description, 3000)
	f.Facilities, f.Keywords = cutAll(f.Facilities, 40, 60), cutAll(f.Keywords, 30, 60)
	return f
}

func (m Music) cut() Music {
	return Music{Genre: cut(m.Genre, 60), Vocal: cut(m.Vocal, 60), Tempo: cut(m.Tempo, 60), Mood: cut(m.Mood, 60)}
}

func (r Report) cut() Report {
	r.Brand = Brand{Concept: cut(r.Brand.Concept, 600), Tagline: cut(r.Brand.Tagline, 200), Tone: cut(r.Brand.Tone, 200)}
	r.Market = Market{Category: cut(r.Market.Category, 200), Position: cut(r.Market.Position, 600), Advantage: cut(r.Market.Advantage, 600)}
	personas := make([]Persona, 0, len(r.Personas))
	for _, p := range r.Personas[:min(len(r.Personas), 8)] {
		personas = append(personas, Persona{Name: cut(p.Name, 100), AgeRange: cut(p.AgeRange, 60), Needs: cut(p.Needs, 400), Message: cut(p.Message, 400)})
	}
	points := make([]SellingPoint, 0, len(r.SellingPoints))
	for _, p := range r.SellingPoints[:min(len(r.SellingPoints), 12)] {
		points = append(points, SellingPoint{Title: cut(p.Title, 100), Description: cut(p.Description, 400), Score: p.Score})
	}
	r.Personas, r.SellingPoints, r.Keywords = personas, points, cutAll(r.Keywords, 30, 60)
	return r
}

// cut drops control characters and what is longer than limit characters.
func cut(s string, limit int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s))
	if runes := []rune(s); len(runes) > limit {
		return strings.TrimSpace(string(runes[:limit]))
	}
	return s
}

func cutAll(list []string, count, limit int) []string {
	out := make([]string, 0, min(len(list), count))
	for _, s := range list {
		if len(out) == count {
			break
		}
		if s = cut(s, limit); s != "" {
			out = append(out, s)
		}
	}
	return out
}
