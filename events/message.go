package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// SchemaVersion is the newest version of the message bodies that this program understands.
// A message of a newer version is left for a newer program.
const SchemaVersion = 1

// Wanted is the body of a work message: look at this run. It is a hint; the row decides what is done.
type Wanted struct {
	Version  int       `json:"v"`
	TaskID   string    `json:"task_id"`
	Stage    Stage     `json:"stage"`
	Revision int       `json:"revision"`
	Reason   string    `json:"reason"` // new | due | again
	WantedAt time.Time `json:"wanted_at"`
	// Replay is the id of a dead letter of this run that is to be replayed first: how a person with the nats command line
	// asks for it. "" in messages that the relay files.
	Replay string `json:"replay,omitempty"`
}

// Why a work message was filed.
const (
	ReasonNew   = "new"   // the stage before is done, or the task was submitted
	ReasonDue   = "due"   // a backoff, a wait for a provider or a publishing time has ended
	ReasonAgain = "again" // filed before, and nothing came of it
)

var replayPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ParseWanted reads a work message's body. Unknown fields are ignored, so that older programs can read newer bodies; of a
// newer version only Version is to be relied on, because its fields may have changed their shape.
func ParseWanted(body []byte) (Wanted, error) {
	var w Wanted
	err := json.Unmarshal(body, &w)
	switch {
	case w.Version > SchemaVersion:
		return Wanted{Version: w.Version}, nil
	case err != nil:
		return Wanted{}, fmt.Errorf("read work message: %w", err)
	case w.Replay != "" && !replayPattern.MatchString(w.Replay):
		return Wanted{}, errors.New("read work message: replay isn't the id of a dead letter")
	}
	return w, nil
}

// Fact is the body of a message on the facts stream, and of a Server-Sent Event: one change of a task.
// Seq counts a task's facts from 1 without gaps.
type Fact struct {
	Version    int       `json:"v"`
	TaskID     string    `json:"task_id"`
	Seq        int64     `json:"seq"`
	Stage      Stage     `json:"stage"` // TaskScope for the task as a whole
	What       string    `json:"what"`  // the new status, or a verb such as "deleted"
	Revision   int       `json:"revision,omitempty"`
	Attempt    int       `json:"attempt,omitempty"`
	TaskStatus string    `json:"task_status"`
	Code       string    `json:"code,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at"`
}

// Dead is the body of a dead letter; the headers repeat it for people with the nats command line.
type Dead struct {
	Version  int       `json:"v"`
	DeadID   string    `json:"dead_id"`
	TaskID   string    `json:"task_id"`
	Stage    Stage     `json:"stage"`
	Revision int       `json:"revision"`
	Cause    string    `json:"cause"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts"`
	FirstAt  time.Time `json:"first_at"`
	LastAt   time.Time `json:"last_at"`
	Body     string    `json:"body,omitempty"` // the beginning of a message that belongs to no run; "" for all others
}

// Headers of dead letters. Nats-* headers of the original are never copied: they would steer the broker.
const (
	HeaderCause     = "Castad-Cause"
	HeaderReason    = "Castad-Reason"
	HeaderStage     = "Castad-Stage"
	HeaderAttempts  = "Castad-Attempts"
	HeaderStream    = "Castad-Stream"
	HeaderSubject   = "Castad-Subject"
	HeaderSeq       = "Castad-Seq"
	HeaderConsumer  = "Castad-Consumer"
	HeaderFirstAt   = "Castad-First-At"
	HeaderLastAt    = "Castad-Last-At"
	HeaderProgram   = "Castad-Program"
	HeaderVersion   = "Castad-Version"
	HeaderTrace     = "traceparent"
	HeaderMessageID = "Nats-Msg-Id"
)

// CloudEvent are the attributes of a message in the CloudEvents binding for NATS, binary mode.
// Spec: CloudEvents 1.0.2, NATS protocol binding.
type CloudEvent struct {
	ID       string // also the broker's de-duplication id
	Type     string // "castad.song.completed"
	Subject  string // the task
	At       time.Time
	Sequence int64 // of a fact within its task; 0 leaves it out
}

// Headers returns the ce-* headers. All values are printable ASCII, so none needs encoding.
func (c CloudEvent) Headers() map[string]string {
	h := map[string]string{
		"ce-specversion":     "1.0",
		"ce-id":              c.ID,
		"ce-source":          "/castad",
		"ce-type":            c.Type,
		"ce-subject":         c.Subject,
		"ce-time":            c.At.UTC().Format(time.RFC3339Nano),
		"ce-datacontenttype": "application/json",
	}
	if c.Sequence > 0 {
		h["ce-sequence"] = fmt.Sprint(c.Sequence)
	}
	return h
}
