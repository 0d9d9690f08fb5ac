package testkit

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// link is the way of one broker to another, which can be cut like a cable.
type link struct {
	from, to int
	target   string
	listener net.Listener

	mu   sync.Mutex
	open map[net.Conn]struct{}
	cut  bool
}

// link makes the way of node i to node j, and returns its port.
func (b *Brokers) link(i, j int) int {
	b.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	l := &link{from: i, to: j, target: fmt.Sprintf("127.0.0.1:%d", b.nodes[j].route), listener: listener, open: map[net.Conn]struct{}{}}
	b.links = append(b.links, l)
	go l.serve()
	return listener.Addr().(*net.TCPAddr).Port
}

func (l *link) serve() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.carry(near)
	}
}

// carry passes on what both ends say until one of them ends, or the link is cut.
func (l *link) carry(near net.Conn) {
	defer near.Close()
	if !l.hold(near) {
		return
	}
	defer l.drop(near)
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !l.hold(far) {
		return
	}
	defer l.drop(far)
	go func() {
		_, _ = io.Copy(far, near)
		far.Close()
	}()
	_, _ = io.Copy(near, far)
}

func (l *link) hold(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.open[conn] = struct{}{}
	return true
}

func (l *link) drop(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
}

func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for conn := range l.open {
		if cut {
			conn.Close()
		}
	}
}

func (l *link) close() {
	l.listener.Close()
	l.set(true)
}

// Cut takes a node away from the others, both ways; programs still reach it.
func (b *Brokers) Cut(i int) { b.set(i, true) }

// Mend undoes Cut.
func (b *Brokers) Mend(i int) { b.set(i, false) }

func (b *Brokers) set(i int, cut bool) {
	b.t.Helper()
	if len(b.links) == 0 {
		b.t.Fatal("these brokers were started without links")
	}
	for _, l := range b.links {
		if l.from == i || l.to == i {
			l.set(cut)
		}
	}
}
