package logtext

import "bytes"

// Lines splits what is written to it into lines. It holds one line, of a long one only the beginning.
type Lines struct {
	// Each is called with the number of each line from 1, its beginning without its end, and its length in bytes with
	// its end. The bytes are valid during the call.
	Each func(n int, line []byte, size int64)
	// Most is how much of a line is held.
	Most int

	Count int   // whole lines
	Size  int64 // bytes of the line that has no end yet

	held []byte
}

// Write takes more of the log; it never fails.
func (l *Lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			l.hold(rest)
			break
		}
		line := rest[:i]
		size := l.Size + int64(i) + 1
		if l.Size > 0 {
			l.hold(line)
			line = l.held
		}
		rest = rest[i+1:]
		l.Count++
		l.Size, l.held = 0, l.held[:0]
		l.Each(l.Count, cut(line, l.Most), size)
	}
	return len(p), nil
}

func (l *Lines) hold(p []byte) {
	l.Size += int64(len(p))
	l.held = append(l.held, p[:min(len(p), max(0, l.Most+1-len(l.held)))]...)
}

// End calls Each for what follows the last end of a line, if anything does.
func (l *Lines) End() {
	if l.Size > 0 {
		size := l.Size
		l.Count++
		l.Size = 0
		l.Each(l.Count, cut(l.held, l.Most), size)
		l.held = l.held[:0]
	}
}

// cut takes the carriage return off the end, and what is too long.
func cut(line []byte, most int) []byte {
	line = bytes.TrimSuffix(line, []byte("\r"))
	return line[:min(len(line), most)]
}
