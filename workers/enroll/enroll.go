// Package enroll makes a worker known to worker-manager: it registers with what its provider gave it, renews
// its credentials before they end, asks whether it is needed when it has no work, and says goodbye
// (taskcluster-map 12.5 and 17.1).
package enroll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

const (
	service = "worker-manager"
	// patience is how long a worker tries to register: the server may be away, or not have written down yet
	// what it has just launched.
	patience   = 5 * time.Minute
	retryPause = time.Second
	// renewAt is the part of the credentials' time after which they are renewed.
	renewAt = 0.7
	// goodbye is how long the worker's last call may take.
	goodbye = 10 * time.Second
)

// File is what a provider, or an operator, gives a worker to register with.
type File struct {
	RootURL      string          `json:"rootUrl"`
	ProviderID   string          `json:"providerId"`
	WorkerPoolID string          `json:"workerPoolId"`
	WorkerGroup  string          `json:"workerGroup"`
	WorkerID     string          `json:"workerId"`
	Proof        json.RawMessage `json:"workerIdentityProof"`
}

// Read reads the file.
func Read(path string) (f File, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("registration: %w", err)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fault.New(fault.Invalid, "%s is no JSON of a registration", path) // not its content: it is secret
	}
	return f, f.check(path)
}

// check names what is missing.
func (f File) check(where string) error {
	for _, member := range [][2]string{{"rootUrl", f.RootURL}, {"providerId", f.ProviderID}, {"workerPoolId", f.WorkerPoolID}, {"workerGroup", f.WorkerGroup},
		{"workerId", f.WorkerID}, {"workerIdentityProof", string(f.Proof)}} {
		if member[1] == "" {
			return fault.New(fault.Invalid, "%s has no %s", where, member[0])
		}
	}
	return nil
}

// Worker is a worker that has registered.
type Worker struct {
	File
	Config Config // what its pool says of it

	client *client.Client
	log    *slog.Logger
	now    atomic.Pointer[answer]
}

// Config is what of a pool's workerConfig this program heeds.
type Config struct {
	Capacity    int `json:"capacity"`
	IdleTimeout int `json:"idleTimeoutSecs"`
}

// answer is what the server says to a worker that registers.
type answer struct {
	Expires      task.Time              `json:"expires"`
	Credentials  client.TaskCredentials `json:"credentials"`
	Secret       string                 `json:"secret"`
	WorkerConfig json.RawMessage        `json:"workerConfig"`
}

// Register registers a worker; while the server is away, or does not know the worker yet, it tries again.
func Register(ctx context.Context, f File, log *slog.Logger) (*Worker, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	anonymous, err := client.New(client.Config{RootURL: f.RootURL, Log: log})
	if err != nil {
		return nil, err
	}
	w := &Worker{File: f, log: log}
	body := map[string]any{
		"workerPoolId": f.WorkerPoolID, "providerId": f.ProviderID, "workerGroup": f.WorkerGroup, "workerId": f.WorkerID, "workerIdentityProof": f.Proof,
	}
	var first answer
	for deadline := time.Now().Add(patience); ; {
		err := anonymous.Call(ctx, service, "POST", "/worker/register", nil, body, &first)
		if err == nil {
			break
		}
		again := errors.Is(err, fault.NotFound) || errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Internal)
		if !again || time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("register with worker-manager: %w", err)
		}
		log.WarnContext(ctx, "cannot register yet, trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
	if len(first.WorkerConfig) > 0 {
		if err := json.Unmarshal(first.WorkerConfig, &w.Config); err != nil {
			return nil, fault.New(fault.Invalid, "the workerConfig of %s cannot be used: %v", f.WorkerPoolID, err)
		}
	}
	w.now.Store(&first)
	w.client = anonymous.WithSource(w.credentials)
	return w, nil
}

func (w *Worker) credentials() hawk.Credentials { return w.now.Load().Credentials.Hawk() }

// Client signs with the credentials of the moment.
func (w *Worker) Client() *client.Client { return w.client }

// Keep renews the credentials until ctx ends.
func (w *Worker) Keep(ctx context.Context) {
	for {
		left := w.now.Load().Expires.Sub(w.client.Now())
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(retryPause, time.Duration(renewAt*float64(left)))):
		}
		var next answer
		err := w.client.Call(ctx, service, "POST", "/worker/reregister", nil, map[string]any{
			"workerPoolId": w.WorkerPoolID, "workerGroup": w.WorkerGroup, "workerId": w.WorkerID, "secret": w.now.Load().Secret,
		}, &next)
		if err != nil {
			if ctx.Err() == nil {
				w.log.WarnContext(ctx, "cannot renew the worker's credentials, trying again", "err", err)
			}
			continue
		}
		w.now.Store(&next)
		w.log.InfoContext(ctx, "the worker's credentials are renewed", "expires", next.Expires.Time)
	}
}

func (w *Worker) path() string {
	return "/workers" + client.Path(w.WorkerPoolID, w.WorkerGroup, w.WorkerID)
}

// MayEnd asks whether the worker, which has no work, is to end. While that cannot be known, it is not.
func (w *Worker) MayEnd(ctx context.Context) bool {
	var out struct {
		Terminate bool   `json:"terminate"`
		Reason    string `json:"reason"`
	}
	if err := w.client.Call(ctx, service, "GET", w.path()+"/should-terminate", nil, nil, &out); err != nil {
		w.log.WarnContext(ctx, "cannot ask whether the worker is needed", "err", err)
		return errors.Is(err, fault.NotFound) // it is forgotten
	}
	if out.Terminate {
		w.log.InfoContext(ctx, "the worker is not needed", "reason", out.Reason)
	}
	return out.Terminate
}

// Leave tells worker-manager that the worker ends; ctx may have ended.
func (w *Worker) Leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if err := w.client.Call(ctx, service, "DELETE", w.path(), nil, nil, nil); err != nil {
		w.log.WarnContext(ctx, "worker-manager does not hear that the worker ends; its provider will tell", "err", err)
	}
}
