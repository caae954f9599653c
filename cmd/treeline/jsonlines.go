package main

import (
	"bytes"
	"encoding/json"
	"io"
)

// jsonLines writes text as JSON for programs: {"line": "…"} for each line, on a line of its own.
type jsonLines struct {
	out  io.Writer
	open []byte // the line that has not ended yet
}

// Write writes the lines that p ends.
func (j *jsonLines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		head, tail, ended := bytes.Cut(p, []byte("\n"))
		j.open = append(j.open, head...)
		if !ended {
			return n, nil
		}
		if err := j.line(); err != nil {
			return 0, err
		}
		p = tail
	}
}

// Close writes what stands behind the last line end, if anything does.
func (j *jsonLines) Close() error {
	if len(j.open) == 0 {
		return nil
	}
	return j.line()
}

func (j *jsonLines) line() error {
	enc := json.NewEncoder(j.out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(map[string]string{"line": string(j.open)})
	j.open = j.open[:0]
	return err
}
