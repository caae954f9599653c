package enroll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// How often the metadata services are asked, as each cloud recommends; Google's answers when there is something to say.
const (
	awsEvery    = 5 * time.Second
	azureEvery  = time.Second
	googleWaits = time.Minute
)

// Notice waits until the cloud tells that this machine is about to be taken away, and returns what it tells: that an instance
// of the spot market at AWS is interrupted, one at Google preempted or stopped for maintenance of its host, one at Azure
// evicted, ended or moved (taskcluster-map 17.1). While the metadata service does not answer it goes on asking. The
// error is that of ctx, or of a cloud that is not known.
func (m Metadata) Notice(ctx context.Context, cloud string, log *slog.Logger) (text string, err error) {
	ask := map[string]func(context.Context, *slog.Logger) (string, error){
		"aws":    m.awsNotice,
		"google": m.googleNotice,
		"azure":  m.azureNotice,
	}[cloud]
	if ask == nil {
		return "", fault.New(fault.Invalid, "%q is none of aws, google, azure", cloud)
	}
	return ask(ctx, log)
}

// every asks until there is an answer. Of failures the first of several in a row is logged.
func (m Metadata) every(ctx context.Context, pause time.Duration, log *slog.Logger, ask func() (string, error)) (string, error) {
	if m.Every > 0 {
		pause = m.Every
	}
	for failed := false; ; {
		text, err := ask()
		switch {
		case text != "":
			return text, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil && !failed:
			log.WarnContext(ctx, "the metadata service does not say whether this machine is to be taken away; it is asked again", "err", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (m Metadata) awsNotice(ctx context.Context, log *slog.Logger) (string, error) {
	s := server{address: or(m.AWS, awsMetadata)}
	return m.every(ctx, awsEvery, log, func() (string, error) {
		if s.header == nil {
			token, err := s.get(ctx, http.MethodPut, "/latest/api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"21600"}})
			if err != nil {
				return "", err
			}
			s.header = http.Header{"X-Aws-Ec2-Metadata-Token": {token}}
		}
		text, err := s.get(ctx, http.MethodGet, "/latest/meta-data/spot/instance-action", nil)
		if errors.Is(err, fault.NotFound) {
			return "", nil // as nearly always
		}
		if err != nil {
			s.header = nil // the token may have run out
			return "", err
		}
		var notice struct{ Action, Time string }
		if err := json.Unmarshal([]byte(text), &notice); err != nil || notice.Action == "" {
			return "", fmt.Errorf("spot/instance-action is not understood: %.200q", text)
		}
		return fmt.Sprintf("AWS is about to %s this instance, at %s", notice.Action, notice.Time), nil
	})
}

// googleNotice follows two values at once.
func (m Metadata) googleNotice(ctx context.Context, log *slog.Logger) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type said struct {
		text string
		err  error
	}
	answers := make(chan said, 2)
	follow := func(value string, means map[string]string) {
		s := server{or(m.Google, googleMetadata), http.Header{"Metadata-Flavor": {"Google"}}}
		tag := "" // of the last answer: what follows is sent when it changes
		text, err := m.every(ctx, time.Second, log, func() (string, error) {
			now, next, err := s.changed(ctx, "/computeMetadata/v1/instance/"+value, tag)
			if err != nil {
				return "", err
			}
			tag = next
			return means[strings.TrimSpace(now)], nil
		})
		answers <- said{text, err}
	}
	go follow("preempted", map[string]string{"TRUE": "Google is preempting this instance"})
	go follow("maintenance-event", map[string]string{"TERMINATE_ON_HOST_MAINTENANCE": "Google is about to stop this instance for maintenance of its host"})
	a := <-answers
	return a.text, a.err
}

// changed is a value of Google's metadata and its tag, once that is another than the given one, or after a while.
func (s server) changed(ctx context.Context, path, tag string) (value, next string, err error) {
	query := "?alt=text"
	if tag != "" {
		query += fmt.Sprintf("&wait_for_change=true&timeout_sec=%d&last_etag=%s", int(googleWaits.Seconds()), tag)
	}
	resp, err := s.ask(ctx, googleWaits+metadataTimeout, http.MethodGet, path+query, nil)
	if err != nil {
		return "", tag, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(text), resp.Header.Get("Etag"), err
}

// azureTakes are the kinds of events after which nothing of a task is left.
var azureTakes = []string{"Preempt", "Terminate", "Redeploy", "Reboot"}

func (m Metadata) azureNotice(ctx context.Context, log *slog.Logger) (string, error) {
	s := server{or(m.Azure, azureMetadata), http.Header{"Metadata": {"true"}}}
	name := ""
	return m.every(ctx, azureEvery, log, func() (string, error) {
		if name == "" { // the events are those of all machines of a set
			text, err := s.get(ctx, http.MethodGet, "/metadata/instance/compute?api-version=2021-02-01", nil)
			var machine struct{ Name string }
			if err == nil {
				err = json.Unmarshal([]byte(text), &machine)
			}
			if err != nil {
				return "", err
			}
			name = machine.Name
		}
		text, err := s.get(ctx, http.MethodGet, "/metadata/scheduledevents?api-version=2020-07-01", nil)
		if err != nil {
			return "", err
		}
		var list struct {
			Events []struct {
				EventType, NotBefore string
				Resources            []string
			}
		}
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return "", fmt.Errorf("scheduledevents are not understood: %w", err)
		}
		for _, e := range list.Events {
			mine := slices.ContainsFunc(e.Resources, func(r string) bool { return strings.EqualFold(r, name) })
			if mine && slices.Contains(azureTakes, e.EventType) {
				return fmt.Sprintf("Azure announces %s of this machine, not before %q", e.EventType, e.NotBefore), nil
			}
		}
		return "", nil
	})
}
