package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"castad/internal/author"
	"castad/internal/fault"
	"castad/prompts"
	"castad/providers"
	"castad/providers/sandbox"
	"castad/store"
)

var noLines = cmpopts.IgnoreFields(store.Lyric{}, "ID", "Lines", "CreatedAt")

func TestLyric_IsWrittenInEveryLanguage(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	for i, language := range providers.Languages {
		r.claim = r.reported(t, language)
		got := r.finish(t)
		job, err := r.DB.FindJob(t.Context(), r.claim.Run, "lyric")
		if err != nil {
			t.Fatal(err)
		}
		var asked providers.Prompt
		if err := job.Decode(&asked); err != nil {
			t.Fatal(err)
		}
		wrote := written(t, language)
		want := store.Lyric{TaskID: r.claim.TaskID, Revision: 1, Language: language, Title: wrote.Title, Origin: "model", Model: asked.Model,
			PromptVersion: asked.Metadata["prompt_version"], PromptHash: prompts.Hash(asked)}
		if diff := cmp.Diff(want, got, noLines); diff != "" || asked.Model == "" || want.PromptVersion == "" {
			t.Errorf("%s (-want +got):\n%s", language, diff)
		}
		wantLines(t, wrote.Lines, got.Lines)
		r.wantPaid(t, i+1)
	}
}

// The model is told of the place, its report, and how the song shall sound.
func TestLyric_ModelIsToldEverything(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	r.finish(t)
	var told prompts.LyricFacts
	if err := json.Unmarshal(r.desk.lastTold(), &told); err != nil {
		t.Fatal(err)
	}
	report, err := prompts.DecodeReport(good(t, "marketing", providers.Korean))
	if err != nil {
		t.Fatal(err)
	}
	want := prompts.LyricFacts{Report: report, Music: prompts.Music(music), Facts: prompts.Facts{Name: placeName, Region: region,
		Facilities: []string{}, Keywords: []string{}, Language: providers.Korean}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestLyric_AgainBeforeTheSavePaysNothing(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	first, err := r.Work(t.Context(), r.claim)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Work(t.Context(), r.claim)
	if diff := cmp.Diff(first, second); diff != "" || err != nil {
		t.Errorf("%v, the second time (-first +second):\n%s", err, diff)
	}
	if paid := r.paid(t); paid.Calls != 1 || len(first.Charges) != 1 || first.Charges[0].Micros != paid.Micros {
		t.Errorf("paid %+v, charged %+v", paid, first.Charges)
	}
}

func TestLyric_WaitsWhileItIsWritten(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{Answer: time.Hour})
	for range 3 {
		out, err := r.Work(t.Context(), r.claim)
		if err != nil || out.Rest <= 0 || out.Code != author.Writing {
			t.Fatalf("while it is written: %+v, %v", out, err)
		}
	}
	r.wantPaid(t, 1)
}

func TestLyric_RerunIsAnotherSong(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	r.finish(t)
	r.rerun(t, nil)
	if got := r.finish(t); got.Revision != 2 || got.Origin != "model" {
		t.Errorf("the second one: %+v", got)
	}
	r.wantPaid(t, 2)
}

// What the owner has written is sung as it is, and no model sees it.
func TestLyric_OwnersText(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	r.finish(t)
	for _, row := range []struct {
		edit  store.Edit
		title string
		lines []prompts.LyricLine
	}{
		{store.Edit{Title: "우리 집 노래", Text: "[절]\r\n숲길 끝에 만난 집\r\n\r\n[후렴 1]\r\n다시 오자, BBQ & \"불멍\"\r\n[End]\r\n"}, "우리 집 노래",
			[]prompts.LyricLine{{Section: "verse", Text: "숲길 끝에 만난 집"}, {Section: "chorus", Text: `다시 오자, BBQ & "불멍"`}}},
		{store.Edit{Text: "짧은 노래"}, placeName, []prompts.LyricLine{{Section: "verse", Text: "짧은 노래"}}},
		{store.Edit{Title: strings.Repeat("긴", 500), Text: "{{name}} <b>"}, strings.Repeat("긴", 199) + "…",
			[]prompts.LyricLine{{Section: "verse", Text: "{{name}} <b>"}}},
	} {
		r.rerun(t, &row.edit)
		if _, err := r.Work(t.Context(), r.claim); err != nil { // and a crash before the save
			t.Fatal(err)
		}
		got := r.finish(t)
		want := store.Lyric{TaskID: r.claim.TaskID, Revision: r.claim.Revision, Language: providers.Korean, Title: row.title, Origin: "owner"}
		if diff := cmp.Diff(want, got, noLines); diff != "" {
			t.Errorf("lyrics (-want +got):\n%s", diff)
		}
		wantLines(t, row.lines, got.Lines)
	}
	if n := r.requests(answers); n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
}

func TestLyric_OwnersTextThatCantBeSung(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	r.finish(t)
	for _, text := range []string{" \n\t", "[Verse]\n[Chorus]", "[Drop]\n가사", "가사 [Verse] 가사", "[End]\n가사", strings.Repeat("가", 121),
		strings.Repeat("가사\n", 41), strings.Repeat("가", 3000)} {
		r.rerun(t, &store.Edit{Text: text})
		r.wantFault(t, fault.Permanent, "lyric_unreadable")
	}
	if n := r.requests(answers); n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
}
