// Package providers holds what CastAD asks of outside services, in its own words.
//
// The packages below it turn these words into a provider's wire format and back;
// they know nothing of tasks, rows or messages. Nothing here does I/O.
package providers

// Language is one of the six languages that a video can be made in.
type Language string

// The languages of the product, by the names that its API uses.
const (
	Korean     Language = "Korean"
	English    Language = "English"
	Chinese    Language = "Chinese"
	Japanese   Language = "Japanese"
	Thai       Language = "Thai"
	Vietnamese Language = "Vietnamese"
)

// Languages lists all languages in the order in which they are offered.
var Languages = []Language{Korean, English, Chinese, Japanese, Thai, Vietnamese}

// Tag returns the BCP 47 tag of the language ("ko", "zh-CN"), or "" for an unknown one.
func (l Language) Tag() string {
	return map[Language]string{Korean: "ko", English: "en", Chinese: "zh-CN", Japanese: "ja", Thai: "th", Vietnamese: "vi"}[l]
}

// Known reports whether l is one of Languages.
func (l Language) Known() bool { return l.Tag() != "" }

// Hit is one result of a place search, as the search gave it but without markup.
type Hit struct {
	Title       string  `json:"title"`
	Category    string  `json:"category,omitempty"`
	Address     string  `json:"address"`
	RoadAddress string  `json:"roadAddress"`
	Longitude   float64 `json:"longitude,omitempty"` // WGS84 degrees; 0 when unknown
	Latitude    float64 `json:"latitude,omitempty"`
}

// Place is a local business as its place page describes it.
type Place struct {
	ID          string   `json:"id"` // "nv" + Naver's decimal id
	Name        string   `json:"name"`
	Category    string   `json:"category"`
	Address     string   `json:"address"`
	RoadAddress string   `json:"road_address"`
	Region      string   `json:"region"`        // province or city + town, from the road address: "경기 가평군"
	Detail      string   `json:"detail_region"` // what follows the region in the road address
	Phone       string   `json:"phone"`
	Description string   `json:"description"`
	Facilities  []string `json:"facilities"`
	Keywords    []string `json:"keywords"`
	Photos      []Photo  `json:"photos"`
	Longitude   float64  `json:"longitude"` // WGS84 degrees; 0 when unknown
	Latitude    float64  `json:"latitude"`
}

// Photo is a picture by its address. Width and Height are pixels, 0 when unknown.
type Photo struct {
	URL    string `json:"url"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
}

// Progress is how far a provider's job has come.
type Progress string

// Working jobs are looked at again later; Done and Broken are final.
const (
	Working Progress = "working"
	Done    Progress = "done"
	Broken  Progress = "broken"
)

// Prompt is one structured-output call to a language model.
type Prompt struct {
	Name         string            `json:"name"` // of the schema: letters, digits, _ and -
	Model        string            `json:"model"`
	Instructions string            `json:"instructions"`
	Input        string            `json:"input"`
	Schema       map[string]any    `json:"schema"` // strict JSON Schema of the answer
	MaxTokens    int64             `json:"max_tokens"`
	Effort       string            `json:"effort"`   // minimal | low | medium | high
	Metadata     map[string]string `json:"metadata"` // at most 16 pairs; comes back with the answer
}

// Answer is what a language model has made of a Prompt so far.
type Answer struct {
	ID           string
	Progress     Progress
	JSON         string // the document, when Done
	InputTokens  int64
	OutputTokens int64 // reasoning included
}

// SongOrder asks for one song.
type SongOrder struct {
	Title       string `json:"title"`
	Lyrics      string `json:"lyrics"` // as sung, with section tags in square brackets
	Style       string `json:"style"`
	Gender      string `json:"gender,omitempty"` // "m", "f" or "" for no wish
	Model       string `json:"model"`
	CallbackURL string `json:"callback_url"`
}

// Song is the state of a song job.
type Song struct {
	ID       string
	Progress Progress
	Clips    []Clip // complete ones only
	Code     string // when Broken: the provider's word for it
	Reason   string
}

// Clip is one finished take of a song.
type Clip struct {
	ID       string  `json:"id"`
	AudioURL string  `json:"audio_url"`
	Seconds  float64 `json:"seconds"`
}

// Word is one sung unit of a lyric and when it is sung, as seconds from the start of the audio.
type Word struct {
	Text  string  `json:"text"`
	Start float64 `json:"start"`
	End   float64 `json:"end"`
}

// Line is one line of lyrics with its time and, where known, those of its words.
type Line struct {
	Text  string  `json:"text"`
	Start float64 `json:"start"`
	End   float64 `json:"end"`
	Words []Word  `json:"words,omitempty"`
}

// Composition is everything that a video is made of; it drives every renderer.
type Composition struct {
	Name     string   `json:"name"`
	Region   string   `json:"region"`
	Language Language `json:"language"`
	Mood     string   `json:"mood,omitempty"`
	Width    int      `json:"width"` // pixels
	Height   int      `json:"height"`
	Seconds  float64  `json:"seconds"` // of the song, and so of the video
	Photos   []string `json:"photos"`  // URLs that the renderer can fetch, in order
	SongURL  string   `json:"song_url"`
	Lines    []Line   `json:"lines"`
}

// RenderOrder asks for one video.
type RenderOrder struct {
	Composition Composition `json:"composition"`
	Metadata    string      `json:"metadata"` // comes back unchanged
	CallbackURL string      `json:"callback_url"`
}

// Render is the state of a render job.
type Render struct {
	ID       string
	Progress Progress
	MovieURL string // when Done
	CoverURL string // may be ""
	Seconds  float64
	Reason   string // when Broken
	Metadata string
}

// Post is a video to be published.
type Post struct {
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
	Language    Language `json:"language"`
	Privacy     string   `json:"privacy"` // public | unlisted | private
	Mark        string   `json:"mark"`    // our own key, hidden in the text so that the post can be found again
}

// Published is where a post can be seen.
type Published struct {
	ID  string `json:"id"`
	URL string `json:"url"`

	Privacy string `json:"-"` // as the platform has it; "" is as it was asked for
	Code    string `json:"-"` // of what is to be said of the post, "" for nothing
	Note    string `json:"-"`
}

// BrokenError says that a provider has ended a job that it had accepted, without a result. Errors of looking at a job
// that don't hold one mean that the look itself didn't come through, and that the job may be well.
type BrokenError struct {
	Code   string // the provider's word
	Reason string
}

// Error returns the provider's word and reason.
func (e *BrokenError) Error() string { return "job ended as " + e.Code + ": " + e.Reason }
