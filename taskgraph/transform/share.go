package transform

import "sync"

// shares holds values that many tasks have alike, by a key that says all they depend on.
type shares struct {
	mu    sync.RWMutex
	byKey map[string]any
}

// Share returns the value that was shared under key, if any. Whoever finds none makes it and gives
// it to Keep. The bytes of key name the caller's purpose and everything the value depends on. Values
// are read by all tasks of the generation at once: nobody may write to them.
func (s *Shared) Share(key []byte) (any, bool) {
	s.shares.mu.RLock()
	v, ok := s.shares.byKey[string(key)]
	s.shares.mu.RUnlock()
	return v, ok
}

// Keep shares v under key and returns what is shared there: v, or what another task shared first.
func (s *Shared) Keep(key []byte, v any) any {
	s.shares.mu.Lock()
	defer s.shares.mu.Unlock()
	if first, ok := s.shares.byKey[string(key)]; ok {
		return first
	}
	if s.shares.byKey == nil {
		s.shares.byKey = map[string]any{}
	}
	s.shares.byKey[string(key)] = v
	return v
}

// Field adds a part to a key for Share, so that parts cannot run into one another.
func Field(key []byte, part string) []byte {
	n := len(part)
	key = append(key, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	return append(key, part...)
}
