// Package pipeline holds the rules of a task's life as pure functions: what follows what, what a rerun makes again,
// what may be cancelled, held, resumed and retried, and what becomes of a failed attempt. Nothing else decides them;
// the store applies what these functions answer, under the lock of the task's row. Start with Task and Follow.
package pipeline

import (
	"fmt"
	"slices"

	"castad/events"
)

// Status is where a run stands.
type Status string

// The statuses of a run. Waiting means that a provider is working.
const (
	Pending    Status = "pending"
	Processing Status = "processing"
	Waiting    Status = "waiting"
	Held       Status = "held"
	Completed  Status = "completed"
	Failed     Status = "failed"
	Skipped    Status = "skipped"
	Cancelled  Status = "cancelled"
)

// Statuses lists all statuses of a run.
var Statuses = []Status{Pending, Processing, Waiting, Held, Completed, Failed, Skipped, Cancelled}

// Final reports whether nothing will happen to the run by itself any more. A held run isn't final: a person resumes it.
func (s Status) Final() bool {
	return s == Completed || s == Failed || s == Skipped || s == Cancelled
}

// Active reports whether the run is, or may be, in a worker's or a provider's hands.
func (s Status) Active() bool { return s == Pending || s == Processing || s == Waiting }

// TaskStatus is where a task stands as a whole.
type TaskStatus string

// The statuses of a task.
const (
	TaskPending    TaskStatus = "pending"
	TaskProcessing TaskStatus = "processing"
	TaskHeld       TaskStatus = "held"
	TaskCompleted  TaskStatus = "completed"
	TaskFailed     TaskStatus = "failed"
	TaskCancelled  TaskStatus = "cancelled"
)

// TaskStatuses lists all statuses of a task.
var TaskStatuses = []TaskStatus{TaskPending, TaskProcessing, TaskHeld, TaskCompleted, TaskFailed, TaskCancelled}

// Final reports whether the task has come to an end. It may be taken up again by a retry or a rerun.
func (s TaskStatus) Final() bool {
	return s == TaskCompleted || s == TaskFailed || s == TaskCancelled
}

// Run is the newest revision of a stage.
type Run struct {
	Stage    events.Stage
	Revision int // from 1
	Status   Status
}

// Task is what the rules need to know of a task: its runs are the newest of each of the six stages, in order.
type Task struct {
	Status TaskStatus
	Holds  []events.Stage
	Runs   []Run
}

// Run returns the newest run of the stage, and false where there is none.
func (t Task) Run(stage events.Stage) (Run, bool) {
	for _, r := range t.Runs {
		if r.Stage == stage {
			return r, true
		}
	}
	return Run{}, false
}

// Holding reports whether the task waits for a person after the stage.
func (t Task) Holding(stage events.Stage) bool { return slices.Contains(t.Holds, stage) }

// Refusal says why a person's wish can't be fulfilled now. Code is stable; Detail says what to do.
type Refusal struct {
	Code   string
	Detail string
}

// Error returns the sentence for people.
func (r *Refusal) Error() string { return r.Detail }

func refuse(code, format string, args ...any) error {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}
