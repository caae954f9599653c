package explain

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"unicode/utf8"
)

// MarshalJSON implements json.Marshaler. The same record gives the same bytes. Steps are written in
// brief: full-task-graph.json has the rest.
func (r *Record) MarshalJSON() ([]byte, error) {
	labels := r.Labels()
	texts := make([][][]byte, len(labels)) // of the steps of each task
	const portion = 64
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for from := range next {
				for i := from; i < min(from+portion, len(labels)); i++ {
					for _, s := range r.Tasks[labels[i]].Steps {
						texts[i] = append(texts[i], s.Brief().append(nil))
					}
				}
			}
		})
	}
	for from := 0; from < len(labels); from += portion {
		next <- from
	}
	close(next)
	wg.Wait()
	return r.assemble(labels, texts)
}

// assemble writes the record with the steps of the tasks at labels.
func (r *Record) assemble(labels []string, texts [][][]byte) ([]byte, error) {
	kinds, err := json.Marshal(append([]string{}, r.Kinds...))
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	out := append([]byte(`{"kinds":`), kinds...)
	out = append(out, `,"steps":[`...)
	places := map[string]int{}
	at := make([][]int, len(labels))
	for i, list := range texts {
		for _, text := range list {
			n, known := places[string(text)]
			if !known {
				if n = len(places); n > 0 {
					out = append(out, ',')
				}
				places[string(text)] = n
				out = append(out, text...)
			}
			at[i] = append(at[i], n)
		}
	}
	out = append(out, `],"tasks":{`...)
	for i, label := range labels {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendJSON(out, label), ':')
		text, err := json.Marshal(writtenRecorded{Recorded: r.Tasks[label], Steps: at[i]})
		if err != nil {
			return nil, fmt.Errorf("explain: task %s: %w", label, err)
		}
		out = append(out, text...)
	}
	log, err := json.Marshal(r.Log)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	out = append(out, `},`...)
	return append(out, log[1:]...), nil // without the bracket that begins it
}

// append writes the step as encoding/json would, which takes five times as long.
func (s Step) append(b []byte) []byte {
	b = append(b, `{"transform":`...)
	b = appendJSON(b, s.Transform)
	if len(s.Keys) > 0 {
		b = append(b, `,"keys":[`...)
		for i, key := range s.Keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, key)
		}
		b = append(b, ']')
	}
	if len(s.Cell) > 0 {
		b = append(b, `,"cell":[`...)
		for i, d := range s.Cell {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(b, `{"name":`...), d.Name)
			b = appendJSON(append(b, `,"value":`...), d.Value)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if s.Note != "" {
		b = appendJSON(append(b, `,"note":`...), s.Note)
	}
	if len(s.Changes) > 0 {
		b = append(b, `,"changes":[`...)
		for i, c := range s.Changes {
			if i > 0 {
				b = append(b, ',')
			}
			b = c.append(b)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (c Change) append(b []byte) []byte {
	b = appendJSON(append(b, `{"key":`...), c.Key)
	if c.Old != "" {
		b = appendJSON(append(b, `,"old":`...), c.Old)
	}
	if c.New != "" {
		b = appendJSON(append(b, `,"new":`...), c.New)
	}
	return append(b, '}')
}

// appendJSON writes a text as JSON; what is no UTF-8 becomes U+FFFD.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		b = append(b, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, strconv.FormatInt(int64(c>>4), 16)...)
			b = append(b, strconv.FormatInt(int64(c&15), 16)...)
		default:
			b = append(b, "\uFFFD"...)
		}
		i += size
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
