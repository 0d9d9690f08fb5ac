// Package events is the contract between CastAD's programs: the stages, the names on the broker, and the bodies and
// headers of the messages. It does no I/O; what the names and bodies mean to a person with the nats command line is
// said in the README. Start with Stage, Names, Wanted and Fact.
package events

import (
	"fmt"
	"slices"
)

// Stage is one of the six steps of a task.
type Stage string

// The stages, in the order in which a task goes through them.
const (
	Crawl  Stage = "crawl"
	Intel  Stage = "intel"
	Lyric  Stage = "lyric"
	Song   Stage = "song"
	Video  Stage = "video"
	Upload Stage = "upload"
)

// TaskScope stands in the place of a stage in facts that are about the task as a whole.
const TaskScope Stage = "task"

// Stages lists the stages in order.
var Stages = []Stage{Crawl, Intel, Lyric, Song, Video, Upload}

// ParseStage returns the stage of that name, or an error that lists the names.
func ParseStage(name string) (Stage, error) {
	if s := Stage(name); slices.Contains(Stages, s) {
		return s, nil
	}
	return "", fmt.Errorf("%q is not a stage; the stages are %v", name, Stages)
}

// Index returns the stage's place in the order, from 0, or -1 for what is no stage.
func (s Stage) Index() int { return slices.Index(Stages, s) }

// Next returns the stage that follows s, and false after the last.
func (s Stage) Next() (Stage, bool) {
	i := s.Index()
	if i < 0 || i+1 >= len(Stages) {
		return "", false
	}
	return Stages[i+1], true
}
