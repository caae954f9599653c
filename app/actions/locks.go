package actions

import "sync"

// locks are mutexes by name. The zero value is ready.
type locks struct {
	mu   sync.Mutex
	held map[string]*waiters
}

type waiters struct {
	mu sync.Mutex
	n  int // who hold it or wait for it
}

// lock waits until nobody else holds the name, and returns what gives it up.
func (l *locks) lock(name string) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*waiters{}
	}
	w := l.held[name]
	if w == nil {
		w = &waiters{}
		l.held[name] = w
	}
	w.n++
	l.mu.Unlock()
	w.mu.Lock()
	return func() {
		w.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if w.n--; w.n == 0 {
			delete(l.held, name)
		}
	}
}
