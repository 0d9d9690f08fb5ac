package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// console prints lines of several at once.
type console struct {
	mu      sync.Mutex
	out     io.Writer
	colours bool
}

func newConsole(file *os.File) *console {
	info, err := file.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &console{out: file, colours: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

func (c *console) colour(code, text string) string {
	if !c.colours {
		return text
	}
	return code + text + plain
}

func (c *console) line(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(c.out, text)
}

// up tells that something runs: its name, where, and what it took.
func (c *console) up(name, where string, took time.Duration) {
	c.line(fmt.Sprintf("  %s %-8s %-32s %6.1f s", c.colour(green, "up"), name, where, took.Seconds()))
}

// note tells what somebody may want to know.
func (c *console) note(name, text string) {
	c.line(fmt.Sprintf("  %s %-8s %s", c.colour(yellow, "--"), name, text))
}
