package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// charge is one accepted call that a real account would have paid, or counted against a quota (Micros 0).
type charge struct {
	Provider string    `json:"provider"`
	Kind     string    `json:"kind"`
	ID       string    `json:"id"`     // the provider's
	Micros   int64     `json:"micros"` // millionths of a US dollar
	Mark     string    `json:"mark"`   // what came along of ours: metadata or callback URL; task_id/stage/revision where given
	At       time.Time `json:"at"`
}

// Total is what one provider would have billed.
type Total struct {
	Calls  int   `json:"calls"`
	Micros int64 `json:"micros"`
}

// Bill is the answer of GET /bill.
type Bill struct {
	Total     Total            `json:"total"`
	Providers map[string]Total `json:"providers"`
	Marks     map[string]int   `json:"marks"` // accepted calls by "provider:mark"; more than 1 is a double charge
}

// bill appends each charge to a file before the call is answered. Charges follow from rows: see settle.
type bill struct {
	mu   sync.Mutex
	file *os.File
	sum  Bill
	read map[string]bool // charges by key that were in the file when it was opened, until settle has compared them
}

func (c charge) key() string { return c.Provider + " " + c.ID }

func openBill(path string) (*bill, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open bill: %w", err)
	}
	b := &bill{file: f, sum: Bill{Providers: map[string]Total{}, Marks: map[string]int{}}, read: map[string]bool{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c charge
		if json.Unmarshal(lines.Bytes(), &c) == nil {
			b.count(c)
			b.read[c.key()] = true
		}
	}
	return b, lines.Err()
}

// settle adds the charges of jobs whose row was kept by a process that ended before it had charged them.
func (s *Server) settle() error {
	owed := func(c charge) error {
		if s.bill.read[c.key()] {
			return nil
		}
		return s.bill.add(c)
	}
	err := errors.Join(
		s.answers.all(func(id string, row answer) error { return owed(row.charge(id)) }),
		s.songs.all(func(id string, row song) error { return owed(row.charge(id)) }),
		s.renders.all(func(id string, row render) error { return owed(row.charge(id)) }),
		s.videos.all(func(id string, row video) error { return owed(row.charge(id)) }),
		s.containers.all(func(_ string, row container) error {
			if row.Media == "" {
				return nil
			}
			return owed(row.charge())
		}))
	s.bill.read = nil
	return err
}

func (b *bill) count(c charge) {
	t := b.sum.Providers[c.Provider]
	t.Calls, t.Micros = t.Calls+1, t.Micros+c.Micros
	b.sum.Providers[c.Provider] = t
	b.sum.Total.Calls, b.sum.Total.Micros = b.sum.Total.Calls+1, b.sum.Total.Micros+c.Micros
	if c.Mark != "" {
		b.sum.Marks[c.Provider+":"+c.Mark]++
	}
}

func (b *bill) add(c charge) error {
	c.At = time.Now().UTC()
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(c)
	_, err = b.file.Write(append(line, '\n'))
	return err
}

func (b *bill) provider(name string) Total {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sum.Providers[name]
}

func (s *Server) showBill(w http.ResponseWriter, _ *http.Request) {
	s.bill.mu.Lock()
	defer s.bill.mu.Unlock()
	writeJSON(w, http.StatusOK, s.bill.sum)
}

// showCharges gives every charge as a line of JSON, oldest first.
func (s *Server) showCharges(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	http.ServeFile(w, r, s.bill.file.Name())
}

// markOf names the call that metadata speaks of, or returns the metadata itself. Tries of one call have one mark.
func markOf(metadata map[string]string) string {
	if len(metadata) == 0 {
		return ""
	}
	if metadata["task_id"] != "" {
		return strings.TrimSuffix(metadata["task_id"]+"/"+metadata["stage"]+"/"+metadata["revision"]+"/"+metadata["purpose"], "/")
	}
	return fmt.Sprint(metadata)
}
