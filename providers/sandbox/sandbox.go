// Package sandbox speaks the wire protocols of all outside services that CastAD uses, offline,
// free and the same every time: Naver, OpenAI, Suno, Creatomate, Azure Blob, Google with YouTube,
// and Instagram, each under a path prefix of one HTTP handler.
//
// It keeps its state in a folder, counts what real accounts would have been billed (GET /bill),
// and fails on demand (POST /admin/faults, see Fault). It imports none of the clients, so that
// a misreading of a protocol isn't shared. Start at New; a file each holds one provider.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Config says where a sandbox lives and how fast it works.
type Config struct {
	Dir       string    // state and files; made when absent
	PublicURL string    // how others reach the handler, without a slash at the end
	Quick     bool      // tiny media and, unless Durations says otherwise, instant jobs
	Durations Durations // of jobs
	FFmpeg    string    // program that encodes songs; unused when Quick
	Soundfont string    // of songs; "" for built-in synthesis
	Atlas     Atlas     // what there is to find and to say; nil knows no place
	Renderer  Renderer  // of videos; nil makes the tiny ones
	Credits   int64     // Suno's at the start; 0 means a million
	Log       zerolog.Logger
}

// Durations are the least times that jobs take from their acceptance. They may take longer where something is really made.
type Durations struct {
	Answer  time.Duration // of the language model, background answers only; others are held back as long
	Song    time.Duration
	Render  time.Duration
	Process time.Duration // of uploaded videos
	Hook    time.Duration // from a state to its callback

	Session   time.Duration // that a YouTube session lives; 0 means a week
	Container time.Duration // that an Instagram container lives unpublished; 0 means 24 hours, as there
}

// Place is a business as Naver's pages show it. Empty texts become null.
type Place struct {
	ID, Type, Name, Category, Address, RoadAddress, Phone, Description string
	Facilities, Keywords, Themes                                       []string
	Photos                                                             []Photo
	Longitude, Latitude                                                float64
	Reviews                                                            int
	Score                                                              float64
}

// Photo is a picture under /files/photos/{Name}.
type Photo struct {
	Name          string
	Width, Height int
}

// Atlas holds the places and plays the language model.
type Atlas interface {
	Find(id string) (Place, bool)
	Search(query string) []Place
	// Photo returns a picture's bytes; the type is told from its content.
	Photo(name string) ([]byte, bool)
	// Answer writes the document of the named schema from the first JSON object of a prompt.
	Answer(schemaName string, facts json.RawMessage) (json.RawMessage, error)
}

// Renderer makes a video and its cover from a scene whose files lie on this machine; both files are in dir.
type Renderer interface {
	Render(ctx context.Context, scene Scene, dir string) (movie, cover string, err error)
}

// Server is a running sandbox.
type Server struct {
	cfg     Config
	journal *journal
	faults  faults
	bill    *bill
	fast    *crew // callbacks and fetches
	slow    *crew // songs and renders
	client  *http.Client

	answers    *table[answer]
	talks      *table[conversation]
	talking    sync.Mutex          // of what is begun in a conversation
	asked      map[string][]string // by conversation, the answers' ids, oldest first
	songs      *table[song]
	renders    *table[render]
	sessions   *table[session]
	videos     *table[video]
	containers *table[container]
}

// New opens the state in cfg.Dir and goes on with unfinished jobs. Close it.
func New(cfg Config) (*Server, error) {
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	if cfg.Credits == 0 {
		cfg.Credits = 1_000_000
	}
	for _, d := range []string{"songs", "renders", "videos", "reels", "blobs", "blocks"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
	}
	s := &Server{cfg: cfg, client: &http.Client{Timeout: 15 * time.Second}}
	if err := s.open(); err != nil {
		return nil, err
	}
	s.fast, s.slow = newCrew(16), newCrew(1)
	s.resume()
	return s, nil
}

func (s *Server) open() (err error) {
	if s.bill, err = openBill(filepath.Join(s.cfg.Dir, "bill.jsonl")); err != nil {
		return err
	}
	s.journal = &journal{path: filepath.Join(s.cfg.Dir, "journal.jsonl"), tables: map[string]replayed{}}
	s.answers = newTable[answer](s.journal, "answer")
	s.talks = newTable[conversation](s.journal, "conversation")
	s.songs = newTable[song](s.journal, "song")
	s.renders = newTable[render](s.journal, "render")
	s.sessions = newTable[session](s.journal, "session")
	s.videos = newTable[video](s.journal, "video")
	s.containers = newTable[container](s.journal, "container")
	if err := s.journal.open(); err != nil {
		return err
	}
	return s.finish()
}

// finish does what a process that was killed had only half done: a row is what counts, and all else follows from it.
func (s *Server) finish() error {
	s.asked = map[string][]string{}
	_ = s.answers.all(func(id string, row answer) error { s.file(id, row); return nil })
	return errors.Join(s.videos.all(s.endSession), s.settle())
}

// resume puts the work of an earlier process back into the queues.
func (s *Server) resume() {
	for _, id := range s.songs.recent(keepRows) {
		s.workOnSong(id)
	}
	for _, id := range s.renders.recent(keepRows) {
		s.workOnRender(id)
	}
	for _, id := range s.containers.recent(keepRows) {
		s.fetchReel(id)
	}
}

// Close stops work in progress, which goes on after the next New, and closes the journal.
func (s *Server) Close() error {
	s.fast.close()
	s.slow.close()
	return s.journal.close()
}

// pick returns the given duration, or the usual one when none is set and the tempo is real.
func (s *Server) pick(set, usual time.Duration) time.Duration {
	if set > 0 || s.cfg.Quick {
		return set
	}
	return usual
}

func millis(t time.Time) int64 { return t.UnixMilli() }

func nowMillis() int64 { return time.Now().UnixMilli() }
