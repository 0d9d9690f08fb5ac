package e2e_test

import (
	"bytes"
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// alone is a product on one broker that is a process of its own, with the repository's configuration.
func alone(t *testing.T) *e2e.Product {
	t.Helper()
	p := e2e.Start(t, e2e.Options{Env: slow, Brokers: testkit.BrokerSettings{Nodes: 1}})
	p.Login()
	return p
}

// The broker ends again and again, in every way.
func TestBroker_Restarts(t *testing.T) {
	t.Parallel()
	p := alone(t)
	b := p.Brokers()
	rows := p.Rows(t)
	again := func(n int, end func(int)) func(l *e2e.Load) {
		return func(l *e2e.Load) {
			for i := range n {
				if i > 0 {
					l.Completes(1)
				}
				end(0)
				b.Start(0)
			}
		}
	}
	underLoad(t, p, []fault{
		{"kill -9 ten times", again(10, b.Kill)},
		{"SIGTERM three times", again(3, b.Stop)},
		{"stands still", func(*e2e.Load) {
			b.Pause(0)
			<-time.After(3 * time.Second)
			b.Continue(0)
		}},
		{"disk wiped", whileQueued(t, p, again(1, func(n int) { b.Kill(n); b.Wipe(n) }))},
		{"consumer paused over a restart", func(l *e2e.Load) { pausedOverRestart(t, l, b) }},
		{"stream full", func(l *e2e.Load) {
			limitWork(t, b, 100)
			testkit.Eventually(t, "runs wait until there is room", func() bool { return overdue(rows) > 0 })
			limitWork(t, b, 1<<30)
		}},
		{"programs too slow for the news", func(*e2e.Load) { floodPaused(t, p) }},
	})
}

// limitWork sets how many bytes the work stream holds.
func limitWork(t *testing.T, b *testkit.Brokers, bytes int64) {
	t.Helper()
	if err := b.Ask(func(ctx context.Context, js jetstream.JetStream) error {
		work, err := js.Stream(ctx, workStream)
		if err != nil {
			return err
		}
		cfg := work.CachedInfo().Config
		cfg.MaxBytes = bytes
		_, err = js.UpdateStream(ctx, cfg)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// overdue returns how many runs have been due for a second.
func overdue(rows *sql.DB) int {
	n := 0
	_ = rows.QueryRow("SELECT COUNT(*) FROM `stage_run` WHERE `due_at` < NOW(6) - INTERVAL 1 SECOND").Scan(&n)
	return n
}

// floodPaused stops the API for a moment and sends it more news than the broker keeps for anybody: the broker cuts it
// off, and it comes back.
func floodPaused(t *testing.T, p *e2e.Product) {
	t.Helper()
	b := p.Brokers()
	p.Pause("api")
	defer p.Continue("api")
	if err := b.Ask(func(ctx context.Context, js jetstream.JetStream) error {
		junk := bytes.Repeat([]byte("junk"), 50_000)
		for range 500 {
			if err := js.Conn().Publish("castad.live.nobody.task.junk", junk); err != nil {
				return err
			}
		}
		return js.Conn().FlushTimeout(20 * time.Second)
	}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the broker has cut the API off", func() bool {
		var seen struct {
			SlowConsumers int `json:"slow_consumers"`
		}
		return b.Monitor(0, "/varz", &seen) == nil && seen.SlowConsumers > 0
	})
}

// whileQueued does something while a message of every task in flight is queued for video, whose program is away: what
// the broker loses then, nobody has.
func whileQueued(t *testing.T, p *e2e.Product, do func(l *e2e.Load)) func(l *e2e.Load) {
	return func(l *e2e.Load) {
		t.Helper()
		p.Stop("video")
		allQueued(t, p.Brokers(), l)
		do(l)
		p.Run("video")
	}
}

// allQueued waits until all tasks in flight wait for the stage video.
func allQueued(t *testing.T, b *testkit.Brokers, l *e2e.Load) {
	t.Helper()
	testkit.Eventually(t, "all tasks wait for video", func() bool {
		return asked(b, func(ctx context.Context, work jetstream.Stream) bool {
			video, err := work.Consumer(ctx, "video")
			if err != nil {
				return false
			}
			// What was on its way to a program that ended counts as in work until somebody asks for more.
			info := video.CachedInfo()
			return info.NumPending+uint64(info.NumAckPending) == l.Flight()
		})
	})
}

// pausedOverRestart pauses the stage video, kills the broker, and sees that nothing was rendered before the resume.
func pausedOverRestart(t *testing.T, l *e2e.Load, b *testkit.Brokers) {
	t.Helper()
	ask(t, b, func(ctx context.Context, work jetstream.Stream) error {
		_, err := work.PauseConsumer(ctx, "video", time.Now().Add(time.Hour))
		return err
	})
	allQueued(t, b, l)
	b.Kill(0)
	b.Start(0)
	ask(t, b, func(ctx context.Context, work jetstream.Stream) error {
		video, err := work.Consumer(ctx, "video")
		if err != nil {
			return err
		}
		if got := video.CachedInfo(); !got.Paused || got.NumPending+uint64(got.NumAckPending) != l.Flight() {
			t.Errorf("after the restart the paused consumer is %+v", got)
		}
		_, err = work.ResumeConsumer(ctx, "video")
		return err
	})
}

// ask does something to the work stream, trying until it succeeds.
func ask(t *testing.T, b *testkit.Brokers, do func(ctx context.Context, work jetstream.Stream) error) {
	t.Helper()
	var err error
	testkit.Eventually(t, "the broker does what it is asked", func() bool {
		err = b.Ask(func(ctx context.Context, js jetstream.JetStream) error {
			work, err := js.Stream(ctx, workStream)
			if err != nil {
				return err
			}
			return do(ctx, work)
		})
		return err == nil
	})
}

func asked(b *testkit.Brokers, question func(ctx context.Context, work jetstream.Stream) bool) (yes bool) {
	_ = b.Ask(func(ctx context.Context, js jetstream.JetStream) error {
		work, err := js.Stream(ctx, workStream)
		yes = err == nil && question(ctx, work)
		return err
	})
	return yes
}

// What the broker has on its disk is damaged or deleted. Messages are lost then, and no task.
func TestBroker_LosesMessages(t *testing.T) {
	t.Parallel()
	p := alone(t)
	b := p.Brokers()
	damaged := func(end func(int), do func(t *testing.T, store string)) func(l *e2e.Load) {
		return whileQueued(t, p, func(*e2e.Load) {
			end(0)
			do(t, b.Store(0))
			b.Start(0)
		})
	}
	underLoad(t, p, []fault{
		// With an index one message would be unreadable; without it, all that follow are gone.
		{"one bit flipped, no index", damaged(b.Kill, func(t *testing.T, store string) {
			changeBlock(t, store, func(block []byte) []byte {
				block[len(block)/2] ^= 1
				return block
			})
		})},
		{"one bit flipped, an index", damaged(b.Stop, func(t *testing.T, store string) {
			changeBlock(t, store, func(block []byte) []byte {
				block[len(block)/2] ^= 1
				return block
			})
		})},
		{"a block cut short", damaged(b.Kill, func(t *testing.T, store string) {
			changeBlock(t, store, func(block []byte) []byte { return block[:len(block)-min(100, len(block))] })
		})},
		{"indexes removed", damaged(b.Stop, func(t *testing.T, store string) { removeFiles(t, store, "index.db") })},
		{"consumers' states removed", damaged(b.Kill, func(t *testing.T, store string) { removeFiles(t, store, "o.dat") })},
		{"consumers' states cut in the middle of a write", damaged(b.Kill, spoilStates)},
		{"consumers deleted in use", whileQueued(t, p, func(*e2e.Load) {
			for _, stage := range []string{"crawl", "lyric", "video"} {
				ask(t, b, func(ctx context.Context, work jetstream.Stream) error { return work.DeleteConsumer(ctx, stage) })
			}
		})},
		{"stream deleted in use", whileQueued(t, p, func(*e2e.Load) {
			if err := b.Ask(func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, workStream) }); err != nil {
				t.Fatal(err)
			}
		})},
	})
}

// changeBlock rewrites the newest block of the work stream's messages.
func changeBlock(t *testing.T, store string, change func(block []byte) []byte) {
	t.Helper()
	var newest string
	var at time.Time
	eachFile(t, store, func(path string, entry fs.FileInfo) {
		if strings.Contains(path, workStream+"/msgs/") && strings.HasSuffix(path, ".blk") && entry.Size() > 0 && entry.ModTime().After(at) {
			newest, at = path, entry.ModTime()
		}
	})
	if newest == "" {
		t.Fatal("the work stream has no block of messages")
	}
	before, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	after := change(bytes.Clone(before))
	if bytes.Equal(before, after) {
		t.Fatal("the block is as it was")
	}
	if err := os.WriteFile(newest, after, 0o600); err != nil {
		t.Fatal(err)
	}
}

func removeFiles(t *testing.T, store, name string) {
	t.Helper()
	removed := 0
	eachFile(t, store, func(path string, _ fs.FileInfo) {
		if filepath.Base(path) == name && os.Remove(path) == nil {
			removed++
		}
	})
	if removed == 0 {
		t.Errorf("there is no file %s to remove", name)
	}
}

// spoilStates leaves consumers' states as a power cut does: as long as they were, and not written.
func spoilStates(t *testing.T, store string) {
	t.Helper()
	eachFile(t, store, func(path string, entry fs.FileInfo) {
		if filepath.Base(path) == "o.dat" {
			if err := os.WriteFile(path, make([]byte, entry.Size()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func eachFile(t *testing.T, dir string, do func(path string, entry fs.FileInfo)) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, entry fs.FileInfo, err error) error {
		if err == nil && !entry.IsDir() {
			do(path, entry)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
