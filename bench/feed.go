package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
)

// happened is an event of the server's feed.
type happened struct {
	Kind        string    `json:"kind"`
	Time        time.Time `json:"time"` // by the database's clock, before its commit
	TaskID      string    `json:"taskId"`
	TaskGroupID string    `json:"taskGroupId"`
	Payload     struct {
		Revision string `json:"revision"` // of a push
		Artifact struct {
			Name string `json:"name"`
		} `json:"artifact"`
		Status struct {
			State string `json:"state"`
		} `json:"status"`
	} `json:"payload"`
	seen time.Time // when it came here
}

// follow sends what happens from now on to the channel it returns, until ctx ends or the stream
// breaks; then the channel is closed. It returns when the stream stands: nothing that happens after
// is missed.
func follow(ctx context.Context, c *client.Client) (<-chan happened, error) {
	address := c.URL("events", "/stream", nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("bench: feed: %w", err)
	}
	resp, err := (&http.Client{Transport: c.Transport()}).Do(req) //nolint:bodyclose // whoever reads it closes it, below
	if err != nil {
		return nil, fmt.Errorf("bench: feed: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("bench: feed: GET %s: %s", address, resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "id: ") { // the stream begins with where it stands
	}
	events := make(chan happened, 1024)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			e := happened{seen: time.Now()}
			if json.Unmarshal([]byte(data), &e) != nil {
				return // whoever waits for the event sees the channel close
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return events, nil
}
