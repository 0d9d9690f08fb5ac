package group_test

import (
	"slices"
	"testing"

	"castad/internal/group"
)

// What comes while a group is being done makes the next one; what doesn't fit waits for the one after.
func TestGroup_WhatWaitsGoesTogether(t *testing.T) {
	t.Parallel()
	groups, goOn := make(chan []int), make(chan struct{})
	g := &group.Group[int]{Lanes: 1, Most: 3, Do: func(items []int) { groups <- slices.Clone(items); <-goOn },
		Fits: func(items []int, item int) bool {
			return !slices.ContainsFunc(items, func(other int) bool { return other%10 == item%10 })
		}}
	g.Add(1)
	if got := <-groups; !slices.Equal(got, []int{1}) {
		t.Errorf("the first, which came alone: %v", got)
	}
	for _, item := range []int{2, 12, 3, 4, 5, 6} {
		g.Add(item)
	}
	if !g.Remove(6) || g.Remove(6) || g.Remove(1) {
		t.Error("an item that waits can be taken back once, and one that was begun can't")
	}
	for _, want := range [][]int{{2, 3, 4}, {12, 5}} {
		goOn <- struct{}{}
		if got := <-groups; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	goOn <- struct{}{}
	g.Add(7)
	if got := <-groups; !slices.Equal(got, []int{7}) {
		t.Errorf("after a rest: %v", got)
	}
	close(goOn)
}

func TestGroup_Lanes(t *testing.T) {
	t.Parallel()
	began, goOn := make(chan int, 9), make(chan struct{})
	g := &group.Group[int]{Lanes: 2, Most: 1, Do: func(items []int) { began <- items[0]; <-goOn }}
	for item := range 3 {
		g.Add(item)
	}
	got := []int{<-began, <-began}
	select {
	case third := <-began:
		t.Errorf("%d was begun although two are under way", third)
	default:
	}
	close(goOn)
	got = append(got, <-began)
	if slices.Sort(got); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("done: %v", got)
	}
}
