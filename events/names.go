package events

import (
	"fmt"
	"regexp"
	"strings"
)

// Names are the names of everything of ours on the broker. The zero value isn't usable; take DefaultNames or Prefixed.
type Names struct {
	Streams  string // what stream names begin with: "CASTAD_"
	Subjects string // what subjects begin with: "castad."
}

// DefaultNames are the names that an operator sees.
var DefaultNames = Names{Streams: "CASTAD_", Subjects: "castad."}

var prefixPattern = regexp.MustCompile(`^[a-z][a-z0-9]{0,30}$`)

// Prefixed returns names for another installation on the same broker, a tenant or a test: prefix
// "acme" gives streams ACME_WORK … and subjects acme.work.….
func Prefixed(prefix string) (Names, error) {
	if !prefixPattern.MatchString(prefix) {
		return Names{}, fmt.Errorf("broker prefix %q: use 1 to 31 lower-case letters and digits, a letter first", prefix)
	}
	return Names{Streams: strings.ToUpper(prefix) + "_", Subjects: prefix + "."}, nil
}

// WorkStream is the stream in which a message means "this run is wanted".
func (n Names) WorkStream() string { return n.Streams + "WORK" }

// FactsStream is the stream of what happened.
func (n Names) FactsStream() string { return n.Streams + "FACTS" }

// DeadStream is the stream of what was given up on.
func (n Names) DeadStream() string { return n.Streams + "DEAD" }

// Work is the subject on which a run of the stage is asked for.
func (n Names) Work(stage Stage, taskID string) string {
	return fmt.Sprintf("%swork.%s.%s", n.Subjects, stage, taskID)
}

// WorkFilter matches all work of a stage; with the stage "*", all work.
func (n Names) WorkFilter(stage Stage) string { return n.Work(stage, "*") }

// Fact is the subject of one fact about a task.
func (n Names) Fact(taskID string, stage Stage, what string) string {
	return fmt.Sprintf("%sfacts.%s.%s.%s", n.Subjects, taskID, stage, what)
}

// FactsFilter matches all facts.
func (n Names) FactsFilter() string { return n.Fact("*", "*", "*") }

// Live is the core subject space on which stored facts are published again.
func (n Names) Live() string { return n.Subjects + "live.>" }

// Dead is the subject of one dead letter; the event id makes it unique for ever.
func (n Names) Dead(stage Stage, taskID, eventID string) string {
	return fmt.Sprintf("%sdead.%s.%s.%s", n.Subjects, stage, taskID, eventID)
}

// DeadFilter matches all dead letters of a stage; with the stage "*", all.
func (n Names) DeadFilter(stage Stage) string { return n.Dead(stage, "*", "*") }

// DeadRef is what the subject of a dead letter says.
type DeadRef struct {
	Stage  Stage
	TaskID string
	DeadID string
}

// ParseDead returns the stage, task and id of a dead letter's subject. None of them is checked: anybody may publish there.
func (n Names) ParseDead(subject string) (DeadRef, error) {
	rest, ok := strings.CutPrefix(subject, n.Subjects+"dead.")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 {
		return DeadRef{}, fmt.Errorf("subject %q is not of the form %s", subject, n.Dead("<stage>", "<task_id>", "<dead_id>"))
	}
	return DeadRef{Stage: Stage(parts[0]), TaskID: parts[1], DeadID: parts[2]}, nil
}

// Owed is a kind of rows that the relay has to publish from.
type Owed string

// What the rows may owe to the broker.
const (
	OwedRuns  Owed = "runs"  // work messages, now or soon
	OwedFacts Owed = "facts" // what happened
	OwedDead  Owed = "dead"  // dead letters to file, or to take away
)

// Wake is the core subject that tells the relay to look at such rows now.
func (n Names) Wake(owed Owed) string { return n.Subjects + "relay.wake." + string(owed) }

// RelayLock is the name of the lock that the one relay holds which publishes.
func (n Names) RelayLock() string { return n.Subjects + "relay.wake" }

// ParseWork returns the stage and task of a work subject.
func (n Names) ParseWork(subject string) (Stage, string, error) {
	rest, ok := strings.CutPrefix(subject, n.Subjects+"work.")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 2 || parts[1] == "" {
		return "", "", fmt.Errorf("subject %q is not of the form %s", subject, n.Work("<stage>", "<task_id>"))
	}
	stage, err := ParseStage(parts[0])
	return stage, parts[1], err
}
