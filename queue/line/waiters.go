// Package line is what one process of the queue remembers about the lines of pending tasks: who waits
// in them, where they start, and which workers were seen. None of it is truth: the database is, and
// all of it may be forgotten at any moment. Everything here can be used concurrently, and its
// zero value is ready.
package line

import (
	"slices"
	"sync"
)

// Waiters has the claimers that wait in this process, by task queue, first come first served. Being woken
// is a hint to look at the database, no promise of work.
type Waiters struct {
	mu      sync.Mutex
	waiting map[string][]*Waiter
}

// Waiter is a place among the waiters.
type Waiter struct {
	Woken chan struct{} // holds at most one wake-up
}

// Join takes a place at the end of a task queue's waiters.
func (l *Waiters) Join(queue string) *Waiter {
	w := &Waiter{Woken: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = map[string][]*Waiter{}
	}
	l.waiting[queue] = append(l.waiting[queue], w)
	return w
}

// Leave takes a waiter out of its line; a wake-up that it did not use goes to the next.
func (l *Waiters) Leave(queue string, w *Waiter) {
	l.mu.Lock()
	line := l.waiting[queue]
	if i := slices.Index(line, w); i >= 0 {
		line = slices.Delete(line, i, i+1)
	}
	if len(line) == 0 {
		delete(l.waiting, queue)
	} else {
		l.waiting[queue] = line
	}
	l.mu.Unlock()
	select {
	case <-w.Woken:
		l.Wake(queue, 1)
	default:
	}
}

// Wake wakes the first n waiters that are not awake already.
func (l *Waiters) Wake(queue string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.waiting[queue]
	for i := 0; i < len(line) && n > 0; i++ {
		select {
		case line[i].Woken <- struct{}{}:
			n--
		default:
		}
	}
}

// Queues returns the task queues for which somebody waits, and how many do.
func (l *Waiters) Queues() (names []string, waiting []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, line := range l.waiting {
		names, waiting = append(names, name), append(waiting, len(line))
	}
	return names, waiting
}
