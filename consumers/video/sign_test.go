package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/sandbox"
)

// stamped signs each time with another number, as time makes signatures differ.
type stamped struct {
	blobStore
	signed int
}

func (s *stamped) Sign(address string) (string, error) {
	s.signed++
	return fmt.Sprintf("%s?signed=%d", address, s.signed), nil
}

// shy refuses the first order.
type shy struct {
	renderer
	files [][]string
}

func (s *shy) Submit(_ context.Context, order providers.RenderOrder) (string, error) {
	s.files = append(s.files, append(slices.Clone(order.Composition.Photos), order.Composition.SongURL))
	if len(s.files) == 1 {
		return "", fault.Retry("busy", errors.New("try later"))
	}
	return "", fault.Stop("enough", errors.New("seen"))
}

func TestVideo_AnOrderThatWaitedIsSignedAnewAndNoSignatureIsKept(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	paid := &shy{}
	r.Stage.Blobs, r.Stage.Renderer = &stamped{blobStore: r.blobs}, paid
	r.wantFault(t, fault.Retryable, "busy")
	if request := r.job(t).Request; strings.Contains(request, "signed=") {
		t.Errorf("the kept request holds a signature, which ends: %s", request)
	}
	r.wantFault(t, fault.Permanent, "enough")
	for i, first := range paid.files[0] {
		again := paid.files[1][i]
		if !strings.Contains(first, "?signed=") || !strings.Contains(again, "?signed=") || first == again {
			t.Errorf("file %d was handed out as %s, then as %s", i, first, again)
		}
	}
}
