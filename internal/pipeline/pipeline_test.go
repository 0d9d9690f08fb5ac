package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/pipeline"
)

func task(status pipeline.TaskStatus, statuses ...pipeline.Status) pipeline.Task {
	t := pipeline.Task{Status: status}
	for i, s := range statuses {
		t.Runs = append(t.Runs, pipeline.Run{Stage: events.Stages[i], Revision: 1, Status: s})
	}
	return t
}

const (
	pend = pipeline.Pending
	proc = pipeline.Processing
	wait = pipeline.Waiting
	held = pipeline.Held
	done = pipeline.Completed
	fail = pipeline.Failed
	skip = pipeline.Skipped
	canc = pipeline.Cancelled
)

func TestFollow(t *testing.T) {
	t.Parallel()
	working := pipeline.TaskProcessing
	holding := task(working, done, done, proc, pend, pend, pend)
	holding.Holds = []events.Stage{events.Lyric}
	for name, tc := range map[string]struct {
		task  pipeline.Task
		stage events.Stage
		want  pipeline.Step
	}{
		"the next stage":                        {task(working, proc, pend, pend, pend, pend, pend), events.Crawl, pipeline.Step{Run: done, Want: events.Intel, Task: working}},
		"the end":                               {task(working, done, done, done, done, done, proc), events.Upload, pipeline.Step{Run: done, Task: pipeline.TaskCompleted}},
		"the end without publishing":            {task(working, done, done, done, done, proc, skip), events.Video, pipeline.Step{Run: done, Task: pipeline.TaskCompleted}},
		"a hold":                                {holding, events.Lyric, pipeline.Step{Run: held, Task: pipeline.TaskHeld}},
		"results that stand are passed over":    {task(working, proc, done, done, done, pend, pend), events.Crawl, pipeline.Step{Run: done, Want: events.Video, Task: working}},
		"a stage still at work is waited for":   {task(working, proc, wait, pend, pend, pend, pend), events.Crawl, pipeline.Step{Run: done, Task: working}},
		"an earlier stage is waited for":        {task(working, proc, proc, pend, pend, pend, pend), events.Intel, pipeline.Step{Run: done, Task: working}},
		"another stage has failed meanwhile":    {task(working, proc, done, fail, pend, pend, pend), events.Crawl, pipeline.Step{Run: done, Task: pipeline.TaskFailed}},
		"another stage is held meanwhile":       {task(working, proc, done, held, pend, pend, pend), events.Crawl, pipeline.Step{Run: done, Task: pipeline.TaskHeld}},
		"another stage was cancelled meanwhile": {task(working, proc, done, canc, canc, canc, canc), events.Crawl, pipeline.Step{Run: done, Task: pipeline.TaskCancelled}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, pipeline.Follow(tc.task, tc.stage)); diff != "" {
				t.Errorf("Follow (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	stage, step, err := pipeline.Resume(task(pipeline.TaskHeld, done, done, held, pend, pend, pend))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pipeline.Step{Run: done, Want: events.Song, Task: pipeline.TaskProcessing}, step); diff != "" || stage != events.Lyric {
		t.Errorf("Resume: %s (-want +got):\n%s", stage, diff)
	}
	_, _, err = pipeline.Resume(task(pipeline.TaskCompleted, done, done, done, done, done, done))
	wantRefusal(t, err, "not_held")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	got, err := pipeline.Cancel(task(pipeline.TaskProcessing, done, done, held, wait, pend, skip))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]events.Stage{events.Lyric, events.Song, events.Video}, got); diff != "" {
		t.Errorf("Cancel (-want +got):\n%s", diff)
	}
	for _, status := range []pipeline.TaskStatus{pipeline.TaskCompleted, pipeline.TaskFailed, pipeline.TaskCancelled} {
		_, err := pipeline.Cancel(task(status, done, done, done, done, done, done))
		wantRefusal(t, err, "already_final")
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	failed := task(pipeline.TaskFailed, done, done, done, fail, pend, pend)
	if run, err := pipeline.Retry(failed, events.Song); err != nil || run.Stage != events.Song {
		t.Errorf("Retry of a failed stage: %v, %v", run, err)
	}
	_, err := pipeline.Retry(failed, events.Lyric)
	wantRefusal(t, err, "stage_not_failed")
}

func TestRerun(t *testing.T) {
	t.Parallel()
	all := task(pipeline.TaskCompleted, done, done, done, done, done, done)
	noPublish := task(pipeline.TaskCompleted, done, done, done, done, done, skip)
	early := task(pipeline.TaskProcessing, done, proc, pend, pend, pend, pend)
	songFailed := task(pipeline.TaskFailed, done, done, done, fail, pend, pend)
	for name, tc := range map[string]struct {
		task  pipeline.Task
		stage events.Stage
		scope pipeline.Scope
		want  []events.Stage
		code  string
	}{
		"all that depends on it":        {all, events.Lyric, pipeline.Everything, []events.Stage{events.Lyric, events.Song, events.Video, events.Upload}, ""},
		"other photos: the video only":  {all, events.Crawl, pipeline.VideoOnly, []events.Stage{events.Crawl, events.Video, events.Upload}, ""},
		"nothing to publish":            {noPublish, events.Song, pipeline.Everything, []events.Stage{events.Song, events.Video}, ""},
		"work under way isn't doubled":  {early, events.Crawl, pipeline.VideoOnly, []events.Stage{events.Crawl, events.Video, events.Upload}, ""},
		"what has failed is made again": {songFailed, events.Crawl, pipeline.VideoOnly, []events.Stage{events.Crawl, events.Song, events.Video, events.Upload}, ""},
		"not before it can be":          {early, events.Song, pipeline.Everything, nil, "stage_not_reached"},
		"upload without targets":        {noPublish, events.Upload, pipeline.Everything, nil, "stage_skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pipeline.Rerun(tc.task, tc.stage, tc.scope)
			if tc.code != "" {
				wantRefusal(t, err, tc.code)
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("Rerun: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	cause := errors.New("x")
	a := pipeline.Attempts{Limit: 3, First: time.Second, Most: time.Minute}
	for name, tc := range map[string]struct {
		err     error
		attempt int
		want    pipeline.Verdict
	}{
		"plain":              {cause, 1, pipeline.Verdict{Status: pend, After: time.Second, Code: "internal"}},
		"retryable, later":   {fault.Retry("busy", cause), 2, pipeline.Verdict{Status: pend, After: 2 * time.Second, Code: "busy"}},
		"attempts used up":   {fault.Retry("busy", cause), 3, pipeline.Verdict{Status: fail, Code: "busy"}},
		"permanent":          {fault.Stop("gone", cause), 1, pipeline.Verdict{Status: fail, Code: "gone"}},
		"rate limited":       {fault.Wait(until, "slow", cause), 3, pipeline.Verdict{Status: pend, Until: until, GiveBack: true, Code: "slow"}},
		"uncertain, at last": {fault.Unsure("unknown", cause), 9, pipeline.Verdict{Status: wait, Code: "unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, a.Judge(fault.Of(tc.err), tc.attempt, 0.5)); diff != "" {
				t.Errorf("Judge (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever happens to a task, in whatever order, its stages are made in order, a completed task has every result, and
// no step is taken while an earlier stage has none.
func TestAnyLife(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		life := pipeline.Task{Status: pipeline.TaskProcessing, Runs: pipeline.Begin(rapid.Bool().Draw(r, "publish"))}
		life.Holds = rapid.SliceOfDistinct(rapid.SampledFrom(events.Stages), func(s events.Stage) events.Stage { return s }).Draw(r, "holds")
		at := events.Crawl
		for range rapid.IntRange(0, 60).Draw(r, "steps") {
			at = step(r, &life, at)
			checkLife(r, life)
		}
	})
}

func step(r *rapid.T, life *pipeline.Task, at events.Stage) events.Stage {
	set := func(stage events.Stage, s pipeline.Status) { life.Runs[stage.Index()].Status = s }
	apply := func(stage events.Stage, s pipeline.Step) events.Stage {
		set(stage, s.Run)
		life.Status = s.Task
		if s.Want != "" {
			return s.Want
		}
		return stage
	}
	switch rapid.SampledFrom([]string{"finish", "resume", "rerun", "fail", "retry"}).Draw(r, "what") {
	case "finish":
		if life.Status == pipeline.TaskProcessing && life.Runs[at.Index()].Status == pend {
			return apply(at, pipeline.Follow(*life, at))
		}
	case "resume":
		if stage, s, err := pipeline.Resume(*life); err == nil {
			return apply(stage, s)
		}
	case "rerun":
		stage := rapid.SampledFrom(events.Stages).Draw(r, "stage")
		scope := rapid.SampledFrom([]pipeline.Scope{pipeline.Everything, pipeline.VideoOnly}).Draw(r, "scope")
		if again, err := pipeline.Rerun(*life, stage, scope); err == nil && life.Status != pipeline.TaskProcessing {
			for _, s := range again {
				life.Runs[s.Index()].Revision++
				set(s, pend)
			}
			life.Status = pipeline.TaskProcessing
			return stage
		}
	case "fail":
		if life.Status == pipeline.TaskProcessing && life.Runs[at.Index()].Status == pend {
			set(at, fail)
			life.Status = pipeline.TaskFailed
		}
	case "retry":
		if _, err := pipeline.Retry(*life, at); err == nil {
			set(at, pend)
			life.Status = pipeline.TaskProcessing
		}
	}
	return at
}

func checkLife(r *rapid.T, life pipeline.Task) {
	open := 0
	for _, run := range life.Runs {
		if run.Status != done && run.Status != skip {
			open++
		}
	}
	if life.Status == pipeline.TaskCompleted && open > 0 {
		r.Fatalf("completed without all results: %+v", life.Runs)
	}
	if life.Status == pipeline.TaskProcessing && open == 0 {
		r.Fatalf("nothing left to do, and not completed: %+v", life.Runs)
	}
}

func wantRefusal(t *testing.T, err error, code string) {
	t.Helper()
	refusal, ok := errors.AsType[*pipeline.Refusal](err)
	if !ok || refusal.Code != code || refusal.Detail == "" {
		t.Errorf("got %v, want a refusal %q with a sentence", err, code)
	}
}
