package line

// Remembered returns how much is remembered.
func (t *Turns) Remembered() (lines, shares int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.lines), len(t.shares)
}
