package proxy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Signer adds a signature to the definition of a task; trust.SignTask is one.
type Signer func(taskID string, definition []byte) ([]byte, error)

// SignTasks has the definitions of tasks that tasks create through the proxy signed. It must be called before the first Add.
func (s *Server) SignTasks(sign Signer) { s.sign = sign }

// Limits of what is read to be signed: those of createTask and createTasks.
const (
	maxTask  = 10 << 20
	maxTasks = 64 << 20
)

const queuePath = "/api/queue/v1/"

// signed replaces the body of a request that creates tasks by one with signatures.
func (s *Server) signed(r *http.Request, path string) error {
	rest, ofQueue := strings.CutPrefix(path, queuePath)
	taskID, one := strings.CutPrefix(rest, "task/")
	one = one && r.Method == http.MethodPut && !strings.Contains(taskID, "/")
	many := r.Method == http.MethodPost && rest == "task-batch"
	if s.sign == nil || !ofQueue || !one && !many {
		return nil
	}
	limit := int64(maxTask)
	if many {
		limit = maxTasks
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the body cannot be read")
	}
	if int64(len(body)) > limit {
		return fault.New(fault.TooLarge, "the body has more than %d bytes", limit)
	}
	if one {
		if taskID, err = url.PathUnescape(taskID); err == nil {
			body, err = s.sign(taskID, body)
		}
	} else {
		body, err = s.signMany(body)
	}
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

func (s *Server) signMany(body []byte) ([]byte, error) {
	var in struct {
		Tasks []struct {
			TaskID string          `json:"taskId"`
			Task   json.RawMessage `json:"task"`
		} `json:"tasks"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the tasks cannot be read: %v", err)
	}
	for i := range in.Tasks {
		t := &in.Tasks[i]
		var err error
		if t.Task, err = s.sign(t.TaskID, t.Task); err != nil {
			return nil, err
		}
	}
	return json.Marshal(in)
}
