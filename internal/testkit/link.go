package testkit

import (
	"net"
	"sync"
	"testing"
)

// Link is a way to a server, which can be cut like a cable, or held: then what is said gets nowhere, as with a server
// that stands still.
type Link struct {
	target   string // host:port
	listener net.Listener
	crew     sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{}
	cut  bool
	flow chan struct{} // closed while nothing is held
}

// NewLink makes a way to host:port. The test's end takes it away.
func NewLink(t testing.TB, target string) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{target: target, listener: listener, open: map[net.Conn]struct{}{}, flow: make(chan struct{})}
	close(l.flow)
	l.crew.Go(l.serve)
	t.Cleanup(l.close)
	return l
}

// Addr returns the host and port at which the way begins.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Cut ends all connections, and takes no more until Mend.
func (l *Link) Cut() { l.set(true) }

// Mend undoes Cut.
func (l *Link) Mend() { l.set(false) }

// Hold keeps back all that is said until Release.
func (l *Link) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flow = make(chan struct{})
}

// Release undoes Hold.
func (l *Link) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flow:
	default:
		close(l.flow)
	}
}

func (l *Link) serve() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.crew.Go(func() { l.carry(near) })
	}
}

// carry passes on what both ends say until one of them ends, or the link is cut.
func (l *Link) carry(near net.Conn) {
	defer near.Close()
	if !l.keep(near) {
		return
	}
	defer l.drop(near)
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !l.keep(far) {
		return
	}
	defer l.drop(far)
	l.crew.Go(func() { l.pass(far, near) })
	l.pass(near, far)
}

// pass hands on what one end says to the other, and then ends both.
func (l *Link) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	for said := make([]byte, 32<<10); ; {
		n, err := from.Read(said)
		<-l.flowing()
		if n > 0 {
			if _, err := to.Write(said[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *Link) flowing() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flow
}

func (l *Link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.open[conn] = struct{}{}
	return true
}

func (l *Link) drop(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
}

func (l *Link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for conn := range l.open {
		if cut {
			conn.Close()
		}
	}
}

func (l *Link) close() {
	l.listener.Close()
	l.Cut()
	l.Release()
	l.crew.Wait()
}
