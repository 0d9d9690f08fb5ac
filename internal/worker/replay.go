package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"castad/events"
	"castad/store"
)

// replay does what a message asks for that names a dead letter, and reports whether its run is to be claimed now. The
// letter has to be of the run that the subject names. One that nobody knows, or that was dealt with, changes nothing.
func (w *Worker[R]) replay(ctx context.Context, msg jetstream.Msg, stage events.Stage, taskID, deadID string) bool {
	log := w.Log.With().Str("task_id", taskID).Str("dead_id", deadID).Logger()
	replayed, err := w.replayOf(ctx, stage, taskID, deadID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		log.Warn().Err(err).Msg("replay was asked for by a message, and there is no such dead letter")
		w.ack(ctx, msg)
		return false
	case err != nil:
		log.Warn().Err(err).Msg("replay failed")
		_ = msg.NakWithDelay(time.Second + rand.N(2*time.Second))
		return false
	}
	log.Info().Bool("replayed", replayed).Msg("replay was asked for by a message")
	return true
}

func (w *Worker[R]) replayOf(ctx context.Context, stage events.Stage, taskID, deadID string) (bool, error) {
	letter, err := w.DB.LoadDead(ctx, deadID)
	if err != nil {
		return false, err
	}
	if letter.TaskID != taskID || letter.Stage != stage {
		return false, fmt.Errorf("dead letter %s is of %s of task %s: %w", deadID, letter.Stage, letter.TaskID, store.ErrNotFound)
	}
	return w.DB.Replay(ctx, deadID)
}
