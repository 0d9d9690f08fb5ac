// Package system is what the benchmark knows of the systems that it compares: how a task gets in, how its end is seen,
// which processes work on it, and what is left when the work is done. Each system is a package beside this one. Start
// with System.
package system

import (
	"context"
)

// Stages are the six stages of a task, in order. Every system does the same in each: write the stage's status durably,
// hand the task over to the next stage, and acknowledge what it was handed itself.
var Stages = []string{"crawl", "intel", "lyric", "song", "video", "upload"}

// PayloadBytes is how much every task carries from stage to stage.
const PayloadBytes = 1024

// System is one way to carry tasks through the six stages.
type System interface {
	// Start starts the system's servers with empty stores below a folder of this round, and its seven programs: one that
	// accepts tasks, and one for each stage. It returns when they are ready.
	Start(ctx context.Context, dir string) (Running, error)
}

// Running is a system at work.
type Running interface {
	// Accept hands a task in by HTTP, the way that a client of the system would, and returns its id when the system has
	// answered: then the task is kept on disk.
	Accept(ctx context.Context) (taskID string, err error)
	// Completed tells the id of each task that has come through all stages, once for each time that it does so. The id
	// may come before Accept has returned it.
	Completed() <-chan string
	// Processes are the system's processes with their ids, its servers among them.
	Processes() map[string]int
	// Audit says what the system's own records hold, once nothing is under way any more.
	Audit(ctx context.Context) (Audit, error)
	// Stop ends all processes and waits for them.
	Stop()
}

// Audit is what a system's records hold.
type Audit struct {
	Accepted  int // tasks
	Completed int // tasks whose last stage has a durable status
	Statuses  int // durable stage statuses: six a task when none is missing and none is there twice
}
