package pipeline

import (
	"castad/events"
)

// Begin returns the runs of a new task: crawl is wanted at once, the others when they are reached. Without anything to
// publish to, upload is skipped.
func Begin(publish bool) []Run {
	runs := make([]Run, 0, len(events.Stages))
	for _, stage := range events.Stages {
		status := Pending
		if stage == events.Upload && !publish {
			status = Skipped
		}
		runs = append(runs, Run{Stage: stage, Revision: 1, Status: status})
	}
	return runs
}

// Step is what follows a result.
type Step struct {
	Run  Status       // the new status of the run whose result it is: Completed or Held
	Want events.Stage // the stage whose run is filed now, "" for none
	Task TaskStatus   // the new status of the task
}

// Follow says what follows when the stage has its result: the next stage that still has to be made, or the end, or,
// where the submission asked for it, a hold.
func Follow(t Task, stage events.Stage) Step {
	if t.Holding(stage) {
		return Step{Run: Held, Task: TaskHeld}
	}
	return onward(t, stage)
}

// onward looks for the first stage in order that has no result, taking the given one as made. Stages whose result
// still stands are passed over, which is how a rerun makes only what depends on it; and a stage that is still at work,
// before or after, is waited for.
func onward(t Task, made events.Stage) Step {
	for _, run := range t.Runs {
		if run.Stage == made {
			continue
		}
		switch run.Status {
		case Completed, Skipped:
		case Pending:
			return Step{Run: Completed, Want: run.Stage, Task: TaskProcessing}
		case Held:
			return Step{Run: Completed, Task: TaskHeld}
		case Failed:
			return Step{Run: Completed, Task: TaskFailed}
		case Cancelled:
			return Step{Run: Completed, Task: TaskCancelled}
		default:
			return Step{Run: Completed, Task: TaskProcessing}
		}
	}
	return Step{Run: Completed, Task: TaskCompleted}
}

// Resume says what follows when a person lets a held task go on, and which stage was held.
func Resume(t Task) (events.Stage, Step, error) {
	for _, run := range t.Runs {
		if run.Status == Held {
			return run.Stage, onward(t, run.Stage), nil
		}
	}
	return "", Step{}, refuse("not_held", "The task isn't held: its status is %q, so there is nothing to resume.", t.Status)
}

// Cancel returns the stages whose runs end with the task.
func Cancel(t Task) ([]events.Stage, error) {
	if t.Status.Final() {
		return nil, refuse("already_final", "The task has already ended as %q and can't be cancelled.", t.Status)
	}
	var stages []events.Stage
	for _, run := range t.Runs {
		if !run.Status.Final() {
			stages = append(stages, run.Stage)
		}
	}
	return stages, nil
}

// Retry checks that the stage's run may be tried once more from its first attempt.
func Retry(t Task, stage events.Stage) (Run, error) {
	run, ok := t.Run(stage)
	if !ok || run.Status != Failed {
		return Run{}, refuse("stage_not_failed",
			"Only a failed stage can be retried, and %s is %q. To make its result again, use rerun.", stage, run.Status)
	}
	return run, nil
}

// Scope says what depends on the thing that a person edited.
type Scope uint8

// What a rerun makes again beside its own stage.
const (
	Everything Scope = iota // all later stages: they are made from this one's result
	VideoOnly               // the video and its posts: the words and the sound don't depend on the edit
)

// Rerun returns the stages that get a new revision, in order: the first is wanted now, the others when they are
// reached. Stages before it must have their results.
func Rerun(t Task, stage events.Stage, scope Scope) ([]events.Stage, error) {
	for _, run := range t.Runs {
		if run.Stage.Index() < stage.Index() && !settled(run) {
			return nil, refuse("stage_not_reached",
				"%s can't be made again yet, because %s before it is %q. Wait for it, or retry it first.", stage, run.Stage, run.Status)
		}
	}
	if run, _ := t.Run(stage); run.Status == Skipped {
		return nil, refuse("stage_skipped", "%s is skipped in this task: it was submitted without anything to publish to.", stage)
	}
	return affected(t, stage, scope), nil
}

func affected(t Task, stage events.Stage, scope Scope) []events.Stage {
	again := []events.Stage{stage}
	for next, ok := stage.Next(); ok; next, ok = next.Next() {
		run, _ := t.Run(next)
		untouched := scope == VideoOnly && next.Index() < events.Video.Index() && (settled(run) || run.Status.Active())
		if run.Status != Skipped && !untouched {
			again = append(again, next)
		}
	}
	return again
}

// settled reports whether the run's result stands and may be kept.
func settled(run Run) bool { return run.Status == Completed || run.Status == Held }
