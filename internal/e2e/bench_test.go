package e2e_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"castad/internal/e2e"
)

// BenchmarkSaturation keeps 128 tasks in flight until b.N are completed: `go tool task bench`.
func BenchmarkSaturation(b *testing.B) { measure(b, 128) }

// BenchmarkOneAtATime submits a task when the one before is completed.
func BenchmarkOneAtATime(b *testing.B) { measure(b, 1) }

// saturated are the settings of programs whose speed is measured: nothing is waited for that needn't be.
var saturated = map[string]string{"CASTAD_LOG_LEVEL": "warn", "CASTAD_LEASE": "60s",
	"CASTAD_PLACE_LOOKUP": "0s", "CASTAD_CRAWL_FRESH": "1h", "CASTAD_SLOTS": "32", "CASTAD_OPENAI_LOOK": "20ms", "CASTAD_SUNO_LOOK": "20ms", "CASTAD_CREATOMATE_LOOK": "20ms", "CASTAD_INSTAGRAM_LOOK": "20ms"}

// measure reports tasks a second, the time from accept to completed, CPU a task and memory of each program. The
// sandbox's own CPU is left out: in real life that is somebody else's machine.
func measure(b *testing.B, flight int) {
	p := e2e.Start(b, e2e.Options{Database: true, Env: saturated})
	p.Login()
	p.Completed(p.Submit("warm-up", order(0, "Korean")))
	before := p.CPU()
	b.ResetTimer()
	took := flights(b, p, flight)
	b.StopTimer()
	after := p.CPU()
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
	total := 0.0
	for name := range after {
		spent := (after[name] - before[name]).Seconds() * 1000 / float64(b.N)
		if name != "sandbox" {
			total += spent
		}
		if os.Getenv("CASTAD_BENCH_DETAIL") != "" {
			b.ReportMetric(spent, name+"-cpu-ms/task")
		}
	}
	b.ReportMetric(total, "cpu-ms/task")
	for name, bytes := range p.Memory() {
		b.ReportMetric(float64(bytes)/1e6, name+"-MB")
	}
}

// flights runs b.N tasks, so many at once, and returns each one's time from accept to completed.
func flights(b *testing.B, p *e2e.Product, flight int) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	next := make(chan int)
	var crew sync.WaitGroup
	for range flight {
		crew.Go(func() {
			for i := range next {
				begun := time.Now()
				p.Completed(p.Submit("bench-"+strconv.Itoa(i)+b.Name(), strings.Replace(order(i, "Korean"), `,{"platform":"instagram"}`, "", 1)))
				mu.Lock()
				took = append(took, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	crew.Wait()
	return took
}
