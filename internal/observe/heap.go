package observe

import "runtime"

// heapFloor counts as heap in use. The collector runs whenever what is in use has doubled, which in a program of a few
// megabytes is many times a second.
const heapFloor = 24 << 20

// SpareCollector lets the heap grow by tens of megabytes before the collector runs, until release is called. A heap that
// is large anyway is collected as before, which GOGC would not do. It takes addresses and no memory: nothing is ever
// written there.
func SpareCollector() (release func()) {
	floor := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(floor) }
}
