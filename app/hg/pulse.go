package hg

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/fault"
)

// exchanges are those on which hg.mozilla.org tells of pushes (vcs-integration 2.3).
var exchanges = []string{"exchange/hgpushes/v1", "exchange/hgpushes/v2"}

const (
	queueName = "hgpushes"
	bindAgain = 10 * time.Minute // exchanges that are made later, and bindings that somebody took away
)

// Listen takes messages about pushes as hints until ctx ends; its error is ctx's.
func (w *Watch) Listen(ctx context.Context, l *pulse.Listener) error {
	return l.Run(ctx, func(ctx context.Context, s *pulse.Listening) error {
		for {
			err := s.Bind(ctx, queueName, w.bindings(), nil)
			if errors.Is(err, fault.Invalid) {
				w.Log.WarnContext(ctx, "an exchange of hgpushes cannot be listened to; it is tried again later, the others are listened to", "err", err)
			} else if err != nil {
				return err
			}
			if err := s.Listen(ctx, []string{queueName}); err != nil {
				return err
			}
			again := time.NewTimer(bindAgain)
			select {
			case <-ctx.Done():
			case <-again.C:
			}
			again.Stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}, func(ctx context.Context, d pulse.Delivery) error {
		if names := w.told(d); len(names) > 0 {
			return w.hint(ctx, names)
		}
		return nil
	})
}

func (w *Watch) bindings() []pulse.Binding {
	var list []pulse.Binding
	for _, r := range w.repos {
		for _, key := range r.Keys {
			for _, exchange := range exchanges {
				list = append(list, pulse.Binding{Exchange: exchange, Pattern: key})
			}
		}
	}
	return list
}

// told are the repositories that a message is about, by its key and by the address that it names. Nothing
// else in it is read.
func (w *Watch) told(d pulse.Delivery) []string {
	type message struct {
		RepoURL string `json:"repo_url"`
	}
	var m struct {
		message
		Payload struct {
			message
			Data message
		}
	}
	_ = json.Unmarshal(d.Body, &m) // one that is something else tells by its key
	var names []string
	for name, r := range w.repos {
		url := strings.TrimSuffix(r.URL, "/")
		named := slices.ContainsFunc([]string{m.RepoURL, m.Payload.RepoURL, m.Payload.Data.RepoURL}, func(u string) bool {
			return u != "" && strings.TrimSuffix(u, "/") == url
		})
		if named || slices.Contains(r.Keys, d.Key) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
